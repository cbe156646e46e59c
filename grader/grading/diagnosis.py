"""Names the likely mistake behind a wrong answer.

Every call that a check made to the submission was recorded. The check is replayed, on the same hidden inputs, with each
catalogued mistake of the exercise in place of the submission: equal answers mean an equal mistake.
"""

import functools
import warnings
from pathlib import Path

import numpy as np
import torch

from grader.contract.sources import solution
from grader.contract.spec import Check, Mistake, Topic
from grader.contract.student import InProcess, Student, StudentError
from grader.inside.protocol import Handle

__all__ = ["Recorded", "likely_mistakes", "mistakes_of", "prerequisite_sources", "same_answers", "trusted"]

# Two implementations of one formula in float32 differ by rounding; two formulas differ by far more on the checks' inputs.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


class Recorded(Student):
    """A student that keeps what it answered to every request."""

    def __init__(self, student: Student):
        super().__init__()
        self._student = student
        self.answers = []

    def request(self, operation: str, **fields: object) -> object:
        try:
            value = self._student.request(operation, **fields)
        except StudentError as error:
            self.answers.append(error.verdict)
            raise
        self.answers.append(value)
        return value


def mistakes_of(topic: Topic) -> tuple[Mistake, ...]:
    """Return the catalogue of a topic."""
    return topic.mistakes


def prerequisite_sources(topic: Topic) -> dict[str, str]:
    """Return the sources of the solutions that a submission may import, which is what its student bundle carries."""
    return {name: solution(name).read_text(encoding="utf-8") for name in topic.prerequisites}


def trusted(topic: Topic, source: str, filename: str) -> InProcess:
    """Return a student made of trusted code for the topic, such as its solution or a mistake, in this process."""
    return InProcess(source, topic.name, filename, prerequisite_sources(topic))


def likely_mistakes(topic: Topic, exercise: str, answers: dict[str, list], seed: int) -> dict[str, Mistake]:
    """Return the likely mistake for each check of the exercise that it explains.

    Args:
        answers: what the submission answered, by the name of the check, for all checks of the exercise, passed ones too.
        seed: the seed with which the checks were run.

    Several mistakes may explain one check; the one that agrees with the submission on the most checks is named.
    """
    checks = [check for check in topic.checks if check.exercise == exercise and check.name in answers]
    explained = []
    for mistake in mistakes_of(topic):
        if mistake.exercise == exercise:
            equal = {check.name for check in checks if same_answers(answers[check.name], _replayed(topic, mistake, check, seed))}
            explained.append((mistake, equal))
    explained.sort(key=lambda pair: -len(pair[1]))  # stable: the order of the catalogue decides a tie
    return {check.name: next((mistake for mistake, equal in explained if check.name in equal), None) for check in checks}


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
def _student_of(topic: Topic, mistake: Mistake) -> InProcess:
    return trusted(topic, mistake.edited(topic.solution.read_text()), str(Path("mistakes") / topic.name / mistake.name))


@functools.cache
def _replayed(topic: Topic, mistake: Mistake, check: Check, seed: int) -> list:
    recorded = Recorded(_student_of(topic, mistake))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a mistake makes a library warn of is news to nobody
            check.run(recorded, seed)
    except Exception:  # a mistake may make a check fail in any way; only what it answered matters
        pass
    return recorded.answers
