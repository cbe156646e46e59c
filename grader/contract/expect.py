"""What a hidden check says when a value is wrong: the property, never the expected value."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch

from grader.contract.student import StudentError
from grader.contract.symptoms import symptom

__all__ = [
    "Wrong",
    "elementwise",
    "expect",
    "expect_close",
    "expect_count",
    "expect_error",
    "expect_numbers",
    "normal",
    "to_the_end",
    "uniform",
]

_kept: ContextVar[list["Wrong"] | None] = ContextVar("_kept", default=None)  # the wrong numbers of the check that is going on to its end


class Wrong(AssertionError):
    """The submission returned a value that the claim of the check excludes. The message is shown to the student."""


@contextmanager
def to_the_end() -> Iterator[None]:
    """Let a check go on after wrong numbers, and raise the `Wrong` of the first when it ends.

    Two mistakes may give the same wrong numbers at first, and a name rests on all answers. Only numbers of the right shape let a check
    go on: nothing else is fit to be computed with.

    Raises:
        Wrong: the first one, whatever the check ended with.
        StudentError: the worker is dead.
    """
    wrong: list[Wrong] = []
    token = _kept.set(wrong)
    try:
        yield
    except Exception as error:
        if not wrong or (isinstance(error, StudentError) and error.ends_the_worker):
            raise
    finally:
        _kept.reset(token)
    if wrong:
        raise wrong[0]


def expect(condition: bool, feedback: str) -> None:
    """Raise `Wrong` with the feedback unless the condition holds."""
    if not condition:
        raise Wrong(feedback)


def expect_close(actual: object, expected: object, what: str = "the result", relative: float = 1e-4, absolute: float = 1e-5) -> None:
    """Raise `Wrong`, now or `to_the_end`, unless `actual` is a number, array or tensor of the expected shape, finite and close.

    The default tolerances leave room for any order of summation in float32 over a few thousand terms of order one.
    A result may be float32 or float64, a Python number or a 0-dimensional tensor.
    """
    expected = _array(expected, "expected").astype(np.float64)
    actual = expect_numbers(actual, expected.shape, what, finite=bool(np.isfinite(expected).all()))
    if not np.allclose(actual, expected, rtol=relative, atol=absolute, equal_nan=True):
        is_right_so_far = "had the right shape" if actual.ndim else "was a number"
        wrong, kept = Wrong(f"{what} {is_right_so_far}, but {symptom(actual, expected, relative, absolute)}"), _kept.get()
        if kept is None:
            raise wrong
        kept.append(wrong)


def expect_numbers(actual: object, shape: Sequence[int], what: str = "the result", finite: bool = True) -> np.ndarray:
    """Return `actual`, a number, array or tensor, in float64; raise `Wrong` unless it has the shape and, if asked, is finite.

    A list is neither: what uses the result could not go on with it. What a check goes on to compute with must overflow nothing, so
    numbers beyond 1e30 do not count as finite.
    """
    expect(not isinstance(actual, list | tuple), f"{what} must be a {'tensor' if shape else 'number'}, got {type(actual).__name__}")
    actual = _array(actual, what)
    expect(list(actual.shape) == list(shape), f"{what} had shape {list(actual.shape)}, but must have {list(shape)}")
    expect(actual.dtype.kind in "fiub", f"{what} had the dtype {actual.dtype}, which is not a real number")
    actual = actual.astype(np.float64)
    expect(not finite or bool((np.abs(actual) < 1e30).all()), f"{what} contained NaN, infinity or numbers beyond 1e30")
    return actual


def expect_count(sequence: object, count: int, what: str = "the result") -> None:
    """Raise `Wrong` unless `sequence` is a list or tuple of `count` values, so that unpacking it cannot fail."""
    if not isinstance(sequence, list | tuple):
        raise Wrong(f"{what} must be a tuple of {count} values, got {type(sequence).__name__}")
    expect(len(sequence) == count, f"{what} must be a tuple of {count} values, got {len(sequence)}")


def expect_error(call: Callable[[], object], kind: str, what: str) -> str:
    """Return what is told of the exception that the call to the submission raises; raise `Wrong` unless its type has the name `kind`.

    Args:
        call: ends in a call to the submission.
        kind: for example "ValueError".
        what: the reason for the exception, as the subject of "... must raise a ValueError".
    """
    try:
        call()
    except StudentError as error:
        if error.verdict != "crashed":
            raise
        expect(error.feedback.startswith(kind), f"{what} must raise a {kind}, but it ended with {error.feedback}")
        return error.feedback
    raise Wrong(f"{what} must raise a {kind}, but a value was returned")


def elementwise(function: Callable[[torch.Tensor], object]) -> Callable[[object], torch.Tensor]:
    """Return a callback for a submission, which may pass a tensor, an array or a number; the function gets it as a float64 tensor."""

    def called(x: object) -> torch.Tensor:
        expect(type(x) in (torch.Tensor, np.ndarray, float, int), f"a function of numbers was called with {type(x).__name__}")
        tensor = torch.as_tensor(x, dtype=torch.float64) if type(x) in (float, int) else torch.as_tensor(x)
        with np.errstate(all="ignore"):  # a wrong submission may pass anything
            return torch.as_tensor(function(tensor.double())).to(tensor.dtype)

    return called


def normal(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return standard normal numbers of the shape."""
    return torch.as_tensor(rng.normal(size=shape)).to(dtype)


def uniform(rng: np.random.Generator, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return uniform numbers of the shape in [low, high)."""
    return torch.as_tensor(rng.uniform(low, high, size=shape)).to(dtype)


def _array(value: object, what: str) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    expect(_is_numeric(value), f"{what} must be a number or a tensor, got {type(value).__name__}")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise Wrong(f"{what} is a ragged list, not an array") from error
    expect(array.dtype.kind in "fiub", f"{what} must be a number or a tensor, got {type(value).__name__}")
    return array


def _is_numeric(value: object) -> bool:
    """Return whether all leaves are numbers; numpy would give every element the memory that the longest string needs."""
    if type(value) in (float, int):  # at once, since a submission may send a million of them
        return True
    if isinstance(value, list | tuple):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float | np.generic | np.ndarray | torch.Tensor)
