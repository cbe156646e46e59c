"""A symptom tells the pattern of what is wrong, and never a right value."""

import math
import re

import numpy as np
import pytest
import torch

from grader.contract.expect import Wrong, expect_close
from grader.contract.symptoms import symptom

RIGHT = np.array([[1.0, -2.5, 4.0], [0.5, 9.0, -7.0], [3.0, 2.0, 8.0], [6.0, -1.0, 5.0]])


def told(wrong, right=RIGHT):
    return symptom(np.asarray(wrong, np.float64), np.asarray(right, np.float64), 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (-RIGHT, "every sign is wrong"),
        (0 * RIGHT, "every number is 0"),
        (RIGHT / 2, "every number is half of what it should be"),
        (RIGHT * 3.7, "every number is 3.7 times what it should be"),
        (RIGHT - 0.3, "every number is off by the same amount"),
        (np.full_like(RIGHT, 2.0), "all numbers are the same"),
        (np.roll(RIGHT, 1, 0), "along axis 0 everything stands one place too late"),
        (np.roll(RIGHT, -1, 1), "along axis 1 everything stands one place too early"),
        (RIGHT[::-1], "the order along axis 0 is reversed"),
        (RIGHT.ravel()[::-1].reshape(RIGHT.shape), "the right numbers stand in another order"),
        (np.abs(RIGHT), "some signs are wrong, and nothing else"),
        (np.where(np.arange(4)[:, None] == 3, 0.1, RIGHT), "only the last row is wrong"),
        (np.where(np.arange(4)[:, None] == 0, 0.1, RIGHT), "only the first row is wrong"),
        (np.where(np.arange(12).reshape(4, 3) == 7, 0.1, RIGHT), "1 of the 12 numbers is wrong, the one at [2, 1]"),
        (np.where(np.arange(12).reshape(4, 3) % 4 == 1, 0.1, RIGHT), "3 of the 12 numbers are wrong, the first at [0, 1]"),
        (np.where(np.arange(12).reshape(4, 3) == 1, np.nan, RIGHT), "1 of the 12 numbers is wrong, the one at [0, 1]"),
        (np.sin(RIGHT) + 20, "every number is too large"),
        (np.sin(RIGHT) - 20, "every number is too small"),
        (RIGHT**3 + 0.01 * np.sign(RIGHT), "every sign is right, and no size"),
        (np.sin(3 * RIGHT) * 20, "none of the 12 numbers is right"),
    ],
)
def test_the_pattern_is_told(wrong, words):
    assert told(wrong) == words


def test_powers_are_told():
    positive = np.abs(RIGHT) + 1
    assert told(positive**2, positive) == "every number is the square of what it should be"
    assert told(positive**0.5, positive) == "every number is the root of what it should be"
    assert told(RIGHT[:3].T, RIGHT[:3]) == "the axes are exchanged"


def test_a_single_number_is_told_without_being_given_away():
    assert told(-3.0, 3.0) == "its sign is wrong"
    assert told(0.0, 3.0) == "it is 0"
    assert told(6.0, 3.0) == "it is twice what it should be"
    assert told(3.3, 3.0) == "it is too large" and told(2.9, 3.0) == "it is too small"
    assert told(float("nan"), 3.0) == "it is not finite"


def test_two_numbers_have_no_pattern_by_accident():
    assert told([3.0, 6.0], [1.0, 2.0]) == "none of the 2 numbers is right"


def test_words_give_no_right_value_away():
    rng = np.random.default_rng(0)
    for _ in range(200):
        right = rng.normal(size=(3, 4)).round(3) + 1234
        words = told(right * (1 + 0.1 * (rng.random((3, 4)) < 0.5)) + 1e-3, right)
        assert not any(f"{number:.4g}" in words for number in right.ravel())


@pytest.mark.parametrize("what", ["the loss", "the values"])
@pytest.mark.parametrize("actual", [[-1.0, -2.0], [1.0], [1.0, math.nan], [1j, 2j]])
def test_what_is_wrong_is_told_of_one_thing_as_of_many(what, actual):
    with pytest.raises(Wrong) as wrong:
        expect_close(torch.tensor(actual), [1.0, 2.0], what)
    assert re.match(f"{what} (had|contained|must be) ", str(wrong.value))
