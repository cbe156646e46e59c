"""Keeps one process from the files of others, where Linux has Landlock: also where it may not have a view of files of its own."""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

__all__ = ["keep_from_files", "parts_shown"]

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on all architectures
VERSION, PATH_BENEATH = 1, 1  # a flag of the first, the kind of a rule of the second
PR_SET_NO_NEW_PRIVS = 38
WRITE_FILE, READ_FILE, READ_FOLDER = 1 << 1, 1 << 2, 1 << 3
REMOVE_AND_MAKE, MOVE, TRUNCATE = sum(1 << bit for bit in range(4, 13)), 1 << 13, 1 << 14
OF_A_FILE = READ_FILE | WRITE_FILE | TRUNCATE


def keep_from_files(writable: Iterable[str | Path], readable: Iterable[str | Path], listable: Iterable[str | Path]) -> bool:
    """Keep this process, and what it starts, for ever from all files and folders but these and what lies in them.

    Their content is meant: that they exist, and since when, can still be seen, and modes and times of files that belong to it changed.

    Args:
        writable: may be changed, too.
        readable: what does not exist is passed over.
        listable: folders, in which only names can be seen, also in those below.

    Returns:
        Whether the system can do so.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, 0, VERSION)
    if version < 1:
        return False
    reading = READ_FILE | READ_FOLDER
    everything = reading | WRITE_FILE | REMOVE_AND_MAKE | (MOVE if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=Q", everything)
    rules = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for places, allowed in ((writable, everything), (readable, reading), (listable, READ_FOLDER)):
            for place in places:
                with contextlib.suppress(FileNotFoundError):
                    _allow(libc, rules, place, allowed)
        return not (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)


def parts_shown(shown: set[Path], hidden: set[Path]) -> tuple[list[Path], list[Path]]:
    """Return what covers `shown` without `hidden`, and the folders that it covers in parts; of nested paths the innermost decides."""
    whole, parts, waiting = list[Path](), list[Path](), sorted(shown)
    while waiting:
        path = waiting.pop()
        if not any(path in other.parents for other in hidden):
            whole.append(path)
        elif path.is_dir():
            parts.append(path)
            with contextlib.suppress(PermissionError):  # nobody can read there anyway
                waiting += [child for child in path.iterdir() if child not in hidden]
    return whole, parts


def _allow(libc: ctypes.CDLL, rules: int, place: str | Path, allowed: int) -> None:
    allowed = allowed if os.path.isdir(place) else allowed & OF_A_FILE
    descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0)
    finally:
        os.close(descriptor)
