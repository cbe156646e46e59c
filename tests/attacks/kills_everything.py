"""Sends signals to everybody: all processes, its group, its parent, itself."""

import ctypes
import os
import signal

_libc = ctypes.CDLL(None)
for _process in (-1, 0, os.getppid(), 1, 2, 3, *range(4, 300)):
    for _number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
        try:
            if _process not in (os.getpid(), 0) or os.getpid() == 1:
                os.kill(_process, _number)
        except OSError:
            pass
        _libc.tgkill(_process, _process, _number)
        _libc.syscall(200, _process, _number)
