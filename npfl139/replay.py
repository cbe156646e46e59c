"""Memories of what happened, from which learners draw."""

import torch
from torch import Tensor

__all__ = ["UniformReplay"]


class UniformReplay:
    """The last `capacity` steps of B rows, from which windows of consecutive steps are drawn uniformly.

    What a step consists of is up to the caller: named tensors [B, ...], the same names and shapes at every `add`.
    A window may span the end of an episode; the caller stores what tells, such as `same_episode`.
    """

    def __init__(self, capacity: int):
        """Make an empty memory for `capacity` steps of each row."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.capacity, self.added = capacity, 0
        self._columns: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Return how many consecutive steps of each row are remembered."""
        return min(self.added, self.capacity)

    def add(self, **step: Tensor) -> None:
        """Remember one step of all rows, tensors [B, ...]; it replaces the oldest one when the memory is full."""
        if not self._columns:
            self._columns = {name: tensor.new_zeros(self.capacity, *tensor.shape) for name, tensor in step.items()}
        if step.keys() != self._columns.keys():
            raise ValueError(f"a step must consist of {sorted(self._columns)}, got {sorted(step)}")
        for name, tensor in step.items():
            self._columns[name][self.added % self.capacity] = tensor
        self.added += 1

    def sample(self, count: int, length: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `count` windows of `length` consecutive steps, drawn with replacement, as named tensors [length, count, ...].

        Raises:
            ValueError: fewer than `length` steps are remembered.
        """
        if len(self) < length:
            raise ValueError(f"a window of {length} steps was asked for, but only {len(self)} are remembered")
        rows = len(next(iter(self._columns.values()))[0])
        oldest = self.added - len(self)
        start = oldest + torch.randint(len(self) - length + 1, (count,), generator=generator)
        row = torch.randint(rows, (count,), generator=generator)
        when = (start + torch.arange(length)[:, None]) % self.capacity
        return {name: column[when, row] for name, column in self._columns.items()}
