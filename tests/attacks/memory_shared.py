"""Takes memory that some limits do not count: shared maps, anonymous files, System V segments."""

import ctypes
import mmap
import os

_found, _maps, _libc = [], [], ctypes.CDLL(None)
for _take in (lambda: os.memfd_create("hoard"), lambda: _libc.shmget(0, 2**30, 0o1777)):
    try:
        if _take() >= 0:
            _found.append("took memory that nobody counts")
    except OSError:
        pass
try:
    for _ in range(64):
        _map = mmap.mmap(-1, 2**25, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        _map.write(bytes(2**25))
        _maps.append(_map)
    _found.append("shared 2 GiB")
except (OSError, MemoryError):
    pass
del _maps[:]


def attack_loot():
    return _found
