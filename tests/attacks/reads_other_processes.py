"""Looks through /proc for the memory, the environment, the command lines and the descriptors of other processes."""

import glob
import os

_found = []
for _pattern in ("mem", "environ", "cmdline", "maps", "fd/*", "root/*", "cwd/*"):
    _found += glob.glob(f"/proc/*/{_pattern}")
_found += [value for name, value in os.environ.items() if "attack-canary" in value or "GRADER" in name]
for _process in range(2, 4096):
    try:
        os.kill(_process, 0)
        _found.append(f"process {_process}")
    except OSError:
        pass
    try:
        _found.append(f"group {os.getpgid(_process)}")
    except OSError:
        pass


def attack_loot():
    return _found
