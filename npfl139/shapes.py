"""Shape errors written to the person who reads them."""

import torch

__all__ = ["expect_shape"]


def expect_shape(name: str, tensor: torch.Tensor, *shape: int) -> None:
    """Raise a ValueError that names the tensor, the shape it must have and the shape it has.

    >>> expect_shape("reward", torch.zeros(3), 3, 2)
    Traceback (most recent call last):
    ValueError: reward must have shape [3, 2], got [3]
    """
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(tensor.shape)}")
