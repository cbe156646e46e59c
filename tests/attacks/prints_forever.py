"""Prints without end."""

import os

while True:
    print("x" * 100_000, flush=True)
    os.write(2, b"x" * 100_000)
