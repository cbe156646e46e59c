"""A check of an exercise that is built from others tells whose fault a failure is."""

import numpy as np
import pytest

from grader.contract.expect import Wrong, expect_close
from grader.contract.spec import Check, check
from grader.contract.student import InProcess, StudentError
from grader.grading.diagnosis import Recorded

WHOLE = "def whole(x):\n    return 1 + part(x, factor=2.0)\n"


def part(x: float, factor: float) -> float:
    return x * factor


def check_whole(student, rng):
    """The whole is one more than twice its argument."""
    expect_close(student.whole(3.0), 7.0)


CHECK = Check("whole", 1.0, check_whole, stands_on=(part,))


def recorded(parts: str, whole: str = WHOLE) -> Recorded:
    return Recorded(InProcess(parts + whole, "work", "work.py"))


@pytest.mark.parametrize(
    "body", ["return x * factor", "return 5 * x", "raise ValueError(x)", "return [x]", "raise NotImplementedError('part')"]
)
def test_what_is_right_on_top_of_right_parts_passes(body):
    student = recorded(f"def part(x, factor):\n    {body}\n")
    CHECK.run(student, 0)
    assert student.answers == [None, 7.0]


def test_what_is_wrong_fails_whatever_it_stands_on():
    for body in ("return x * factor", "return 5 * x"):
        student = recorded(f"def part(x, factor):\n    {body}\n", WHOLE.replace("1 +", "2 +"))
        with pytest.raises(Wrong, match="it is too large"):
            CHECK.run(student, 0)
        assert student.answers == [None, 8.0]


def test_without_parts_there_is_no_second_try():
    student = recorded("def part(x, factor):\n    return 5 * x\n")
    with pytest.raises(Wrong):
        Check("whole", 1.0, check_whole).run(student, 0)


@pytest.mark.parametrize("verdict", ["timeout", "memory", "violation", "grader_fault"])
def test_a_submission_that_does_not_go_on_has_no_second_try(verdict):
    tries = []

    def check_that_ends(student, rng: np.random.Generator):
        """It ends."""
        tries.append(rng)
        raise StudentError(verdict, "the end")

    with pytest.raises(StudentError, match="the end"):
        Check("whole", 1.0, check_that_ends, stands_on=(part,)).run(recorded(""), 0)
    assert len(tries) == 1


def test_a_check_goes_on_after_wrong_numbers_and_tells_the_first():
    @check("whole")
    def check_all(student, rng):
        """It is right."""
        for name, x in (("first", 1.0), ("second", 2.0)):
            expect_close(student.whole(x), 0.0, f"the {name}")

    student = recorded("", "def whole(x):\n    return x\n")
    with pytest.raises(Wrong, match="the first"):
        check_all.check.run(student, 0)
    assert student.answers[-2:] == [1.0, 2.0]


@pytest.mark.parametrize(("after", "kind"), [("raise ValueError", Wrong), ("while True: pass", StudentError)])
def test_what_comes_after_wrong_numbers_changes_the_verdict_only_where_the_worker_is_dead(after, kind):
    def check_all(student, rng):
        """It is right."""
        expect_close(1.0, 0.0)
        raise StudentError("crashed" if kind is Wrong else "timeout", after)

    with pytest.raises(kind):
        Check("whole", 1.0, check_all).run(recorded(""), 0)
