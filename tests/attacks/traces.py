"""Attaches to other processes as a debugger, and reads their memory."""

import ctypes
import os

_libc, _found = ctypes.CDLL(None, use_errno=True), []
_buffer = ctypes.create_string_buffer(64)


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


for _process in (0, 1, 2, 3, os.getppid(), *range(4, 100)):
    if _libc.ptrace(16, _process, 0, 0) == 0 or _libc.ptrace(0x4206, _process, 0, 0) == 0:
        _found.append(f"traces {_process}")
    _local, _remote = _Vector(ctypes.addressof(_buffer), 64), _Vector(ctypes.addressof(_buffer), 64)
    if _libc.process_vm_readv(_process, ctypes.byref(_local), 1, ctypes.byref(_remote), 1, 0) > 0:
        _found.append(f"reads {_process}")
    if _libc.syscall(434, _process, 0) >= 0:
        _found.append(f"holds {_process}")


def attack_loot():
    return _found
