"""Puts a student's exercises into the given code of the assignment, so that what is trained for marks is what the student had to write.

Of a submission stay the exercises, and the helpers, imports and constants that they use, directly or through others. They run in a
namespace of their own that starts with the names of the given code: a helper called `train`, `Agent` or `range` changes
nothing outside the student's exercises. All is decided by reading the code; the worker only executes what was kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType

from grader.contract.spec import Topic, Training
from grader.contract.stubs import make_skeleton
from grader.contract.student import Student, StudentError
from grader.inside.grafting import instructions_of, is_member, program_of, taken_apart

__all__ = ["Graft", "given_code", "graft", "needs"]

NAMES_TOLD = 5


@dataclass(frozen=True)
class Graft:
    """A submission made ready for training."""

    given: str  # the assignment, its exercises stubs
    exercises: tuple[str, ...]
    source: str  # the submission, in which every statement that no exercise uses does nothing; its lines keep their numbers
    left_out: tuple[str, ...]  # given definitions that the student changed

    @property
    def note(self) -> str | None:
        """The sentence that tells the student what was left out."""
        if not self.left_out:
            return None
        names = ", ".join(f"`{name}`" for name in self.left_out[:NAMES_TOLD])
        more = f" and {len(self.left_out) - NAMES_TOLD} more" if len(self.left_out) > NAMES_TOLD else ""
        return f"your own version of {names}{more} was left out: training runs on the assignment's given code"

    def plant(self, student: Student, filename: str) -> None:
        """Put the exercises into the given code, which the student has loaded.

        Raises:
            StudentError: what was kept of the submission does not run.
        """
        student.request("graft", source=self.source, filename=filename, exercises=list(self.exercises))


def graft(topic: Topic, source: str) -> Graft:
    """Return the graft of trusted source, or of one that is known to be taken apart soon; `grader.grading.reading` does any other.

    Raises:
        StudentError: Python's compiler refuses the source.
    """
    given = given_code(topic.solution, topic.exercises)
    try:
        return Graft(given, topic.exercises, *taken_apart(source, given, topic.exercises))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise StudentError("crashed", f"the file cannot be prepared for training: {type(error).__name__}") from error


@cache
def given_code(solution: Path, exercises: tuple[str, ...]) -> str:
    """Return the given code of an assignment, its exercises stubs."""
    return make_skeleton(solution.read_text(), exercises)


def needs(topic: Topic, training: Training) -> tuple[str, ...]:
    """Return the exercises that a training check uses: those that the check itself calls, and those that the given code it calls uses.

    It is read off the code: a class counts with all its methods, an exercise as the stub that it is in the given code. Which
    of two branches a check enters cannot be read off; what only the other one uses is the check's `unreached`.
    """
    given = program_of(given_code(topic.solution, topic.exercises))
    waiting, seen = list(_asked_for(training.attempt) & given.names()), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        units = [unit for unit in given.units if name in unit.binds and not is_member(unit)]
        units += [unit for unit in given.units if is_member(unit) and unit.around[-1].name == name]
        waiting += {used for unit in units for used in unit.uses} & given.names()
    return tuple(exercise for exercise in topic.exercises if exercise.split(".")[0] in seen and exercise not in training.unreached)


def _asked_for(attempt: Callable[..., object]) -> set[str]:
    """Return every name that an attempt, or a function of its module that it uses, may ask of the submission."""
    found, waiting, seen = set[str](), [attempt], set[Callable[..., object]]()
    while waiting:
        function = waiting.pop()
        seen.add(function)
        instructions = list(instructions_of(function.__code__))
        found |= {one.argval for one in instructions if one.opname in ("LOAD_ATTR", "LOAD_METHOD")}
        found |= {one.argval for one in instructions if one.opname == "LOAD_CONST" and isinstance(one.argval, str)}
        used = [function.__globals__.get(one.argval) for one in instructions if one.opname == "LOAD_GLOBAL"]
        waiting += [one for one in used if isinstance(one, FunctionType) and one.__module__ == attempt.__module__ and one not in seen]
    return found
