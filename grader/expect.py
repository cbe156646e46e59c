"""What a hidden check says when a value is wrong: the property, never the expected value."""

import numpy as np
import torch

__all__ = ["Wrong", "expect", "expect_close", "expect_count", "normal", "uniform"]


class Wrong(AssertionError):
    """The submission returned a value that the claim of the check excludes. The message is shown to the student."""


def expect(condition: bool, feedback: str) -> None:
    """Raise `Wrong` with the feedback unless the condition holds."""
    if not condition:
        raise Wrong(feedback)


def expect_close(
    actual: object, expected: object, what: str = "the result", relative: float = 1e-4, absolute: float = 1e-5
) -> None:
    """Raise `Wrong` unless `actual` is a number, array or tensor of the expected shape, finite and close.

    The default tolerances leave room for any order of summation in float32 over a few thousand terms of order one.
    A result may be float32 or float64, a Python number or a 0-dimensional tensor.
    """
    expected = _array(expected, "expected")
    actual = _array(actual, what)
    expect(actual.shape == expected.shape, f"{what} has shape {list(actual.shape)}, but must have {list(expected.shape)}")
    expect(actual.dtype.kind in "fiub", f"{what} has the dtype {actual.dtype}, which is not a real number")
    if np.isfinite(expected).all():
        expect(np.isfinite(actual).all(), f"{what} contains NaN or infinity")
    expect(
        np.allclose(actual.astype(np.float64), expected.astype(np.float64), rtol=relative, atol=absolute, equal_nan=True),
        f"{what} has the right shape, but not the right values",
    )


def expect_count(sequence: object, count: int, what: str = "the result") -> None:
    """Raise `Wrong` unless `sequence` is a list or tuple of `count` values, so that unpacking it cannot fail."""
    expect(isinstance(sequence, list | tuple), f"{what} must be a tuple of {count} values, got {type(sequence).__name__}")
    expect(len(sequence) == count, f"{what} must be a tuple of {count} values, got {len(sequence)}")


def normal(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return standard normal numbers of the shape."""
    return torch.as_tensor(rng.normal(size=shape)).to(dtype)


def uniform(rng: np.random.Generator, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return uniform numbers of the shape in [low, high)."""
    return torch.as_tensor(rng.uniform(low, high, size=shape)).to(dtype)


def _array(value: object, what: str) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise Wrong(f"{what} is a ragged list, not an array") from error
    expect(array.dtype.kind in "fiub", f"{what} must be a number or a tensor, got {type(value).__name__}")
    return array
