"""What the hidden checks accept and what they refuse."""

import numpy as np
import pytest

from grader.contract.expect import Wrong, expect_close
from grader.contract.student import StudentError


def fails():
    raise StudentError("crashed", "ZeroDivisionError")


def test_what_is_built_from_the_submissions_own_wrong_parts_is_right():
    expect_close(np.array([1.0, 2.0]), [3.0, 4.0], or_else=lambda: np.array([1.0, 2.0]))
    expect_close(2.5, 3.0, or_else=lambda: np.float32(2.5))


def test_the_parts_are_not_asked_where_the_value_is_the_expected_one():
    expect_close(3.0, 3.0, or_else=fails)


@pytest.mark.parametrize(
    ("actual", "own"),
    [
        (2.5, fails),
        (2.5, lambda: 2.6),
        (2.5, lambda: "text" + 1),
        (2.5, lambda: [2.5]),
        (2.5, lambda: float("nan")),
        (0.0, lambda: 0.0),
    ],
)
def test_parts_that_fail_or_give_nothing_excuse_nothing(actual, own):
    with pytest.raises(Wrong, match="the sum is a number, but it is"):
        expect_close(actual, 3.0, "the sum", or_else=own)
