"""Announces a long frame, sends half of it and stops; elsewhere announces one that is far too long."""

import os
import time


def _half(*arguments, **keywords):
    os.write(3, b"\x00\x10\x00\x00" + b"x" * 100)
    time.sleep(1000)


def _huge(*arguments, **keywords):
    os.write(3, b"\xff\xff\xff\xff")
    time.sleep(1000)


_names = [name for name, value in globals().items() if type(value).__name__ == "function" and not name.startswith("_")]
for _index, _name in enumerate(_names):
    globals()[_name] = (_half, _huge)[_index % 2]
