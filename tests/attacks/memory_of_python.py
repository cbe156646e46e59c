"""Fills memory with a list."""

_hoard = []
while True:
    _hoard.append([0.0] * 1_000_000)
