"""Tries to raise its limits and to gain rights."""

import ctypes
import os
import resource

_libc, _found = ctypes.CDLL(None, use_errno=True), []
for _kind in ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE"):
    _kind = getattr(resource, _kind)
    try:
        _hard = resource.getrlimit(_kind)[1]
        if _hard == resource.RLIM_INFINITY:
            _found.append(f"limit {_kind} is missing")
        resource.setrlimit(_kind, (_hard + 1, _hard + 1))
        _found.append(f"raised limit {_kind}")
    except (OSError, ValueError):
        pass
_header, _data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
_libc.capget(_header, _data)
if any(_data) or _libc.prctl(39, 0, 0, 0, 0) != 1:
    _found.append("has capabilities, or could gain them")
_data[:] = [0xFFFFFFFF] * 6
if _libc.capset(_header, _data) == 0:
    _found.append("gained capabilities")
try:
    os.nice(-5)
    _found.append("gained priority")
except OSError:
    pass


def attack_loot():
    return _found
