"""Definitions that the checks of several topics compute expected values from, written as they are defined, in float64."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["h", "h_inverse"]


def h(x: ArrayLike, epsilon: float) -> np.ndarray:
    """Return h(x) in float64 as it is defined; for |x| ≥ 1e-3 its rounding errors stay below 1e-12 relatively."""
    x = np.asarray(x, np.float64)
    return np.asarray(np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + epsilon * x)


def h_inverse(y: ArrayLike, epsilon: float) -> np.ndarray:
    """Return the x with h(x) = y in float64, by Newton's method: it rises to |x| monotonically, because h is concave there."""
    y = np.asarray(y, np.float64)
    x = np.zeros_like(y)
    for _ in range(60):
        x = x - (h(x, epsilon) - np.abs(y)) / (0.5 / np.sqrt(x + 1) + epsilon)
    return np.asarray(np.sign(y) * x)
