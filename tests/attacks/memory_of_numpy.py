"""Fills memory with arrays."""

import numpy as np

_hoard = []
while True:
    _hoard.append(np.ones(4_000_000))
