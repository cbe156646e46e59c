"""Numbers that change in the course of a training."""

__all__ = ["linear"]


def linear(start: float, end: float, fraction: float) -> float:
    """Return the number that leads from `start` to `end` on a straight line, after that fraction of the way; it stays there afterwards.

    >>> linear(1.0, 0.25, 0.0), linear(1.0, 0.5, 0.5), linear(1.0, 0.25, 2.0)
    (1.0, 0.75, 0.25)
    """
    fraction = min(max(fraction, 0.0), 1.0)
    return start * (1 - fraction) + end * fraction
