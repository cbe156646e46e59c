"""Names the likely mistake behind a wrong answer.

Every call that a check made to the submission was recorded. The check is replayed, on the same hidden inputs, with each
catalogued mistake of the exercise in place of the submission: equal answers mean an equal mistake.
"""

import functools
import itertools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grader.contract.spec import Check, Mistake, Topic
from grader.contract.student import InProcess, Student, StudentError
from grader.inside.protocol import Handle

__all__ = ["Ended", "Likely", "Recorded", "likely_mistakes", "reproduces", "same_answers", "trusted"]

# Two implementations of one formula in float32 differ by rounding; two formulas differ by far more on the checks' inputs.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


class Ended(str):
    """The verdict with which a request ended, in place of an answer."""


class Recorded(Student):
    """A student that keeps what it answered since it was last seeded, and how often it called the functions that it was given."""

    def __init__(self, student: Student):
        super().__init__()
        self._student = student
        self.answers: list[Any] = []

    def request(self, operation: str, **fields: object) -> Any:
        calls: list[None] = []
        support = {"support": fields.pop("support", {})}  # it stands in for the submission's own functions, whose calls do not count
        if operation == "seed":  # a check begins, perhaps for the second time
            self.answers.clear()
        try:
            value = self._student.request(operation, **{name: _counted(field, calls) for name, field in fields.items()}, **support)
        except StudentError as error:
            self.answers.append(Ended(error.verdict))
            raise
        self.answers.append([value, len(calls)] if calls else value)
        return value


def trusted(topic: Topic, source: str, filename: str) -> InProcess:
    """Return a student made of trusted code for the topic, such as its solution or a mistake, in this process."""
    return InProcess(source, topic.name, filename, topic.prerequisite_sources)


@dataclass(frozen=True)
class Likely:
    """The mistake that a submission most likely made, and whether its outputs prove it."""

    mistake: Mistake
    certain: bool


def likely_mistakes(topic: Topic, exercise: str, answers: dict[str, list], seed: int) -> dict[str, Likely]:
    """Return the catalogued mistake that the submission made in an exercise, by the names of the checks that it explains.

    Args:
        answers: what the submission answered, by the name of the check, for all checks of the exercise, passed ones too.
        seed: the seed with which the checks were run.

    A wrong name sends its reader the wrong way, so a mistake is named only if it reproduces *all* answers of the exercise, and no other
    does. What many mistakes could have answered, an exception, zeros or no finite number, proves none of them: with nothing else a
    mistake is at most likely.
    """
    checks = [check for check in topic.checks if check.exercise == exercise and check.name in answers]
    right = {check.name: _replayed(topic, None, check, seed) for check in checks}
    explained = [check for check in checks if not same_answers(answers[check.name], right[check.name])]
    if not explained:
        return {}
    reproducing = [
        mistake
        for mistake in topic.mistakes
        if mistake.exercise == exercise and reproduces(topic, mistake, [*explained, *checks], answers, seed)
    ]
    certain = any(_is_evidence(answers[check.name], right[check.name]) for check in explained)
    if len(reproducing) != 1:
        return {}
    return {check.name: Likely(reproducing[0], certain) for check in explained}


def reproduces(topic: Topic, mistake: Mistake, checks: Iterable[Check], answers: dict[str, list], seed: int) -> bool:
    """Return whether an implementation with the mistake gives the same answers to all of the checks."""
    return all(same_answers(answers[check.name], _replayed(topic, mistake, check, seed)) for check in checks)


def _counted(value: Any, calls: list[None]) -> object:
    """Return the value with its functions replaced by ones that also add an entry to `calls`."""
    if isinstance(value, list | tuple):
        return [_counted(item, calls) for item in value]
    if isinstance(value, dict):
        return {key: _counted(item, calls) for key, item in value.items()}
    if callable(value) and not isinstance(value, type):

        def counted(*arguments: object) -> object:
            calls.append(None)
            return value(*arguments)

        return counted
    return value


def _is_evidence(answers: list, right: list) -> bool:
    """Return whether some answer of a check tells one wrong implementation from another."""
    return any(
        not isinstance(answer, Ended) and _is_telling(answer) and not same_answers(answer, reference)
        for answer, reference in itertools.zip_longest(answers, right)
    )


def _is_telling(answer: object) -> bool:
    """Return whether there is anything but zeros in an answer, or nothing at all."""
    if isinstance(answer, list | tuple):
        return any(map(_is_telling, answer))
    if isinstance(answer, dict):
        return any(map(_is_telling, answer.values()))
    if _is_numeric(answer):
        array = np.asarray(answer, dtype=np.float64)
        return bool(np.isfinite(array).any() and array.any())
    return isinstance(answer, str | bytes)


def same_answers(first: object, second: object) -> bool:
    """Return whether two answers of the wire are the same up to rounding: types, shapes and values."""
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same_answers, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same_answers(first[key], second[key]) for key in first)
    if _is_numeric(first) and _is_numeric(second):
        first, second = np.asarray(first), np.asarray(second)
        return first.shape == second.shape and np.allclose(first, second, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    if isinstance(first, Handle) and isinstance(second, Handle):
        return True  # handles are numbered in the order in which a worker made them, which depends on what else it was asked
    return type(first) is type(second) and (first is None or (isinstance(first, str | bytes) and first == second))


def _is_numeric(value: object) -> bool:
    return isinstance(value, bool | int | float | torch.Tensor | np.ndarray) and not (isinstance(value, int) and abs(value) > 2**53)


@functools.cache
def _student_of(topic: Topic, mistake: Mistake | None) -> InProcess:
    source = topic.solution.read_text()
    if mistake is None:
        return trusted(topic, source, topic.solution.name)
    return trusted(topic, mistake.edited(source), str(Path("mistakes") / topic.name / mistake.name))


@functools.cache
def _replayed(topic: Topic, mistake: Mistake | None, check: Check, seed: int) -> list:
    """Return what an implementation with the mistake, or else the reference, answers to a check."""
    recorded = Recorded(_student_of(topic, mistake))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a mistake makes a library warn of is news to nobody
            check.run(recorded, seed)
    except Exception:  # a mistake may make a check fail in any way; only what it answered matters
        pass
    return recorded.answers
