"""Check, Training, Mistake, Topic: the only vocabulary that topics and the grader share."""

import ast
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from grader.contract import registry, sources
from grader.contract.expect import to_the_end
from grader.contract.stubs import last_line
from grader.contract.student import Student, StudentError, Supported
from npfl139.seeding import derived_seed, numpy_stream

__all__ = ["Attempt", "Check", "Mistake", "Topic", "Training", "check", "checks_of", "span"]

Function = TypeVar("Function", bound=Callable[[Any, Any], None])  # check_*(student, rng), which annotates neither


@dataclass(frozen=True)
class Check:
    """One hidden property of one exercise."""

    exercise: str
    points: float
    function: Callable[[Student, np.random.Generator], None]
    stands_on: tuple[Callable[..., Any], ...] = ()  # the reference's functions for other exercises that this one may call

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def claim(self) -> str:
        """The sentence that the student reads: the first paragraph of the check's docstring."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    def run(self, student: Student, seed: int) -> None:
        """Run the check on inputs drawn from `seed`; it raises `Wrong` or `StudentError` unless the property holds.

        A failure is the exercise's only if it also fails on top of right ones: a wrong exercise costs its own points and no others.
        """
        try:
            self._run(student, seed)
        except Exception as error:
            if not self.stands_on or (isinstance(error, StudentError) and error.ends_the_worker):
                raise
            try:
                self._run(Supported(student, {function.__name__: function for function in self.stands_on}), seed)
            except Exception:
                raise error from None

    def _run(self, student: Student, seed: int) -> None:
        student.request("seed", seed=derived_seed(seed, "global generators", self.name))
        with to_the_end():
            self.function(student, numpy_stream(seed, "check", self.name))


def check(exercise: str, points: float = 1.0, stands_on: tuple[Callable[..., Any], ...] = ()) -> Callable[[Function], Function]:
    """Declare a function `check_*(student, rng)` of a topic module to be a hidden check of `exercise`.

    Its docstring is the claim that the student reads. It stays a plain function, so that pytest collects it. Where the exercise is
    built from others, `stands_on` are the solution's functions for these: should the check fail, it is run once more with them.
    """

    def declare(function: Function) -> Function:
        if not function.__name__.startswith("check_") or not inspect.getdoc(function):
            raise ValueError(f"a check is named check_* and its docstring is its claim: {function.__name__}")
        vars(function)["check"] = Check(exercise, points, function, stands_on)
        return function

    return declare


def checks_of(module_name: str) -> tuple[Check, ...]:
    """Return the checks declared so far in a module, in the order in which they stand there."""
    return tuple(value.check for value in vars(sys.modules[module_name]).values() if hasattr(value, "check"))


@dataclass(frozen=True)
class Attempt:
    """What one seed of a training check gave, all of it measured by the grader."""

    score: float
    steps: int
    curve: tuple[tuple[int, float], ...] = ()  # (environment steps, mean return of the episodes that ended since the last point)
    traces: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)  # what the agent logged, for display only


@dataclass(frozen=True)
class Training:
    """A run whose score is compared with a calibrated threshold over several seeds; larger scores are better."""

    name: str
    claim: str
    points: float
    attempt: Callable[[Student, int], Attempt]  # (student, seed) -> Attempt
    environment: str  # what is learnt on, as shown in reports
    seconds: float = 120.0  # wall limit of one seed, at least ten times what the reference needs
    unreached: tuple[str, ...] = ()  # exercises in branches of the given code that this check never enters


@dataclass(frozen=True)
class Mistake:
    """What students really get wrong, as one edit of one exercise of the reference solution."""

    name: str  # completes "your outputs equal those of an implementation that ..."
    exercise: str
    old: str  # occurs exactly once in the source of the exercise
    new: str
    hint: str  # a sentence or two that teaches, without giving the line away

    def edited(self, source: str) -> str:
        """Return the solution's source with the mistake made.

        Raises:
            ValueError: `old` does not occur exactly once in the exercise, or the edit changes nothing.
        """
        start, end = span(source, self.exercise)
        lines = source.splitlines(keepends=True)
        body = "".join(lines[start:end])
        if body.count(self.old) != 1 or self.old == self.new:
            raise ValueError(f"mistake {self.name!r}: {self.old!r} must occur exactly once in {self.exercise}")
        return "".join(lines[:start]) + body.replace(self.old, self.new) + "".join(lines[end:])


@dataclass(frozen=True)
class Topic:
    """One assignment: its exercises in the order of the file, its hidden checks, its training checks."""

    name: str
    title: str
    exercises: tuple[str, ...]  # functions, or Class.method
    checks: tuple[Check, ...]
    trainings: tuple[Training, ...] = ()
    package: str = ""  # in which its other files lie, by default the one in which its checks stand

    def __post_init__(self) -> None:
        if not self.package:
            object.__setattr__(self, "package", self.checks[0].function.__module__.rpartition(".")[0] if self.checks else "")
        unknown = {check.exercise for check in self.checks} ^ set(self.exercises)
        if unknown:
            raise ValueError(f"{self.name}: every exercise has a check and every check an exercise, but not {sorted(unknown)}")

    @property
    def files(self) -> Path:
        """The folder of the package: checks, mistakes, calibrated figures, variants."""
        return Path(str(files(self.package)))

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The catalogue of what students get wrong."""
        mistakes: tuple[Mistake, ...] = import_module(f"{self.package}.mistakes").MISTAKES
        return mistakes

    @property
    def variants(self) -> tuple[Path, ...]:
        """Correct implementations in other styles; each continues the solution."""
        return tuple(sorted((self.files / "variants").glob("*.py")))

    @property
    def solution(self) -> Path:
        return sources.solution(self.name)

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """The topics whose solutions this one's imports, directly or through others, in lecture order."""
        return registry.prerequisites(self.name)

    @property
    def prerequisite_sources(self) -> dict[str, str]:
        """The sources of these solutions, which a submission may import and its student bundle carries."""
        return {name: sources.solution(name).read_text(encoding="utf-8") for name in self.prerequisites}

    @property
    def max_score(self) -> float:
        return sum(check.points for check in self.checks) + sum(training.points for training in self.trainings)


def span(source: str, exercise: str) -> tuple[int, int]:
    """Return the first and one-past-last line, counted from 0, of the function `f` or the method `C.m` of `source`.

    Raises:
        ValueError: there is no such function.
    """
    scope = ast.parse(source).body
    for name in exercise.split("."):
        found = [node for node in scope if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
        if len(found) != 1:
            raise ValueError(f"the source defines {exercise} {len(found)} times, not once")
        scope = found[0].body
    return found[0].lineno - 1, last_line(found[0])
