"""Replaces itself by a shell that hunts for the hidden checks."""

import ctypes
import os

_libc = ctypes.CDLL(None)
os.system("touch /tmp/attack-marker-shell")
_libc.execve(b"/bin/sh", None, None)
os.execv("/bin/sh", ["sh", "-c", "cat /*/grader/topics/* /*/*/grader/topics/*"])
