"""Keeps one process from changing files, where Linux has Landlock: also a process that may not have a view of files of its own."""

import ctypes
import os
import struct
from collections.abc import Sequence

__all__ = ["only_writes"]

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on all architectures
VERSION, PATH_BENEATH = 1, 1  # a flag of the first, the kind of a rule of the second
PR_SET_NO_NEW_PRIVS = 38
WRITE, REMOVE_AND_MAKE, REFER, TRUNCATE = 1 << 1, sum(1 << bit for bit in range(4, 13)), 1 << 13, 1 << 14
OF_A_FILE = WRITE | TRUNCATE


def only_writes(places: Sequence[str]) -> bool:
    """Let this process and what it starts change only these files, and what lies in these folders, for ever.

    Content, names and existence are meant: modes and times of files that belong to it can still be changed.

    Returns:
        Whether the system can keep it from the rest.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, 0, VERSION)
    if version < 1:
        return False
    handled = WRITE | REMOVE_AND_MAKE | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=Q", handled)
    rules = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for place in places:
            descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
            try:
                allowed = handled if os.path.isdir(place) else handled & OF_A_FILE
                if libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0):
                    return False
            finally:
                os.close(descriptor)
        return not (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)
