"""Observations and returns brought to a common scale."""

import torch
from torch import Tensor

__all__ = ["Scale"]


class Scale(torch.nn.Module):
    """The mean and standard deviation of all rows seen so far.

    They come from sums in float64 of the rows and their squares, less the mean of the first rows: without that shift the squares
    would lose the digits of a small deviation from a large mean. How the moments of two groups of rows are merged without any sum of
    squares is an exercise of the topic ppo, which therefore has a class of its own.
    """

    count: Tensor
    origin: Tensor
    total: Tensor
    total_of_squares: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        for name in ("origin", "total", "total_of_squares"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def update(self, rows: Tensor) -> None:
        """Take rows [N, size] into account.

        >>> scale = Scale(1)
        >>> scale.update(torch.tensor([[1.0], [3.0]]))
        >>> scale.update(torch.tensor([[5.0], [7.0]]))
        >>> scale.mean.tolist(), round(scale.std.item() ** 2, 4)
        ([4.0], 5.0)
        """
        rows = rows.double()
        if self.count == 0:
            self.origin.copy_(rows.mean(dim=0))
        shifted = rows - self.origin
        self.count += len(shifted)
        self.total += shifted.sum(dim=0)
        self.total_of_squares += shifted.square().sum(dim=0)
        mean = self.total / self.count
        self.mean.copy_(self.origin + mean)
        self.std.copy_((self.total_of_squares / self.count - mean.square()).clamp(min=1e-8).sqrt())

    def normalized(self, values: Tensor) -> Tensor:
        """Return values [..., size] less the mean, divided by the standard deviation."""
        return (values - self.mean) / self.std

    def restored(self, values: Tensor) -> Tensor:
        """Return the values [..., size] of which these are the normalized ones."""
        return values * self.std + self.mean
