"""What a wrong array looks like beside the right one, in words that tell the pattern and never the right value."""

import itertools
import re
from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["is_telling", "symptom"]

MIN_PATTERN = 3  # fewer numbers have a common factor or an order by accident
MIN_SIGNS = 6  # fewer numbers have the right signs by accident

VAGUE = re.compile(r"none of the \d+ numbers is right")

Close = Callable[[np.ndarray, np.ndarray], bool]


def symptom(actual: np.ndarray, expected: np.ndarray, relative: float, absolute: float) -> str:
    """Return how `actual` differs from `expected`, so that the sentence "the result had the right shape, but ..." is complete.

    Args:
        actual: of the shape of `expected`, not close to it.
        expected: the right values, which the words never give away.
        relative: tolerance, as for `numpy.isclose`.
        absolute: likewise.

    >>> right = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    >>> for wrong in (-right, 2 * right, right + 1, right[::-1], right * [[1], [1], [9]], right * [[1, 1], [1, 1], [0, 1]]):
    ...     print(symptom(wrong, right, 1e-4, 1e-5))
    every sign is wrong
    every number is twice what it should be
    every number is off by the same amount
    the order along axis 0 is reversed
    only the last row is wrong
    1 of the 6 numbers is wrong, the one at [2, 0]
    """

    def close(first: np.ndarray, second: np.ndarray) -> bool:
        return first.shape == second.shape and np.allclose(first, second, rtol=relative, atol=absolute, equal_nan=True)

    wrong = ~np.isclose(actual, expected, rtol=relative, atol=absolute, equal_nan=True)
    finite = np.isfinite(actual).all() and np.isfinite(expected).all()
    patterns = itertools.chain(_patterns(actual, expected, close), _directions(actual, expected, wrong)) if finite else ()
    return next(iter(patterns), None) or _place(wrong)


def is_telling(feedback: str) -> bool:
    """Return whether the sentence about a failed check tells what is wrong or where, and not only that all numbers are."""
    return VAGUE.search(feedback) is None


def _patterns(actual: np.ndarray, expected: np.ndarray, close: Close) -> Iterator[str]:
    """Yield the patterns that explain all numbers at once, the most telling first."""
    subject = "every number" if actual.size > 1 else "it"
    if close(actual, -expected):
        yield "every sign is wrong" if actual.size > 1 else "its sign is wrong"
    if not actual.any():
        yield f"{subject} is 0"
    for factor, words in ((2, "twice"), (0.5, "half of")):
        if close(actual, factor * expected):
            yield f"{subject} is {words} what it should be"
    if actual.size < MIN_PATTERN or np.ptp(expected) == 0:
        return
    best = _factor(actual, expected)
    if best is not None and close(actual, best * expected):
        yield f"every number is {best:.3g} times what it should be"
    if close(actual - expected, np.full_like(expected, np.mean(actual - expected))):
        yield "every number is off by the same amount"
    if np.ptp(actual) == 0:
        yield "all numbers are the same"
    yield from _orders(actual, expected, close)
    if (expected >= 0).all() and close(actual, expected**2):
        yield "every number is the square of what it should be"
    if (actual >= 0).all() and close(actual**2, np.abs(expected)):
        yield "every number is the root of what it should be"
    if close(np.abs(actual), np.abs(expected)):
        yield "some signs are wrong, and nothing else"


def _directions(actual: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> Iterator[str]:
    """Yield what all numbers have in common, where all of them are wrong."""
    subject = "every number" if actual.size > 1 else "it"
    if not wrong.all() or 1 < actual.size < MIN_PATTERN:
        return
    if (actual > expected).all():
        yield f"{subject} is too large"
    if (actual < expected).all():
        yield f"{subject} is too small"
    if actual.size >= MIN_SIGNS and (np.sign(actual) == np.sign(expected)).all() and expected.min() < 0 < expected.max():
        yield "every sign is right, and no size"


def _factor(actual: np.ndarray, expected: np.ndarray) -> float | None:
    """Return the factor that fits best, None where there is nothing to compare."""
    scale = float((expected**2).sum())
    return float((actual * expected).sum() / scale) if scale > 0 and np.isfinite(scale) else None


def _orders(actual: np.ndarray, expected: np.ndarray, close: Close) -> Iterator[str]:
    """Yield how the right numbers stand in wrong places."""
    for axis in range(actual.ndim):
        if actual.shape[axis] >= MIN_PATTERN:
            a, e = np.moveaxis(actual, axis, 0), np.moveaxis(expected, axis, 0)
            if close(a, e[::-1]):
                yield f"the order along axis {axis} is reversed"
            if close(a[1:], e[:-1]):
                yield f"along axis {axis} everything stands one place too late"
            if close(a[:-1], e[1:]):
                yield f"along axis {axis} everything stands one place too early"
    if actual.ndim == 2 and close(actual.T, expected):
        yield "the axes are exchanged"
    if close(np.sort(actual, axis=None), np.sort(expected, axis=None)):
        yield "the right numbers stand in another order"


def _place(wrong: np.ndarray) -> str:
    """Return where the wrong numbers are."""
    count, first = int(wrong.sum()), [int(index) for index in np.argwhere(wrong)[0]]
    if wrong.size == 1:
        return "it is not finite"
    if wrong.ndim > 1:
        rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))
        if len(wrong) > 1 and rows.tolist() in ([0], [len(wrong) - 1]) and wrong[rows].all():
            return f"only the {'first' if rows[0] == 0 else 'last'} row is wrong"
    if count == 1:
        return f"1 of the {wrong.size} numbers is wrong, the one at {first}"
    if count == wrong.size:
        return f"none of the {wrong.size} numbers is right"
    return f"{count} of the {wrong.size} numbers are wrong, the first at {first}"
