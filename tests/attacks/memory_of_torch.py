"""Fills memory with tensors."""

import torch

_hoard = []
while True:
    _hoard.append(torch.ones(4_000_000))
