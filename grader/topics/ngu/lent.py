"""What the checks of ngu lend to a submission's memories, in its own process: what happens to them, and owes nothing to the exercises."""

from typing import Any

from torch import Tensor


def forget(memory: Any, rows: Tensor) -> None:
    """Begin new episodes in some rows, as the description of the memory has it: nothing of them is stored."""
    memory.count[rows] = 0


def meet(memory: Any, squared_distances: Tensor) -> None:
    """Include squared distances [N] in their mean."""
    memory.squared_distance.update(squared_distances[:, None])


def usual(memory: Any) -> Tensor:
    """Return the mean [1] of the squared distances."""
    mean: Tensor = memory.squared_distance.mean
    return mean
