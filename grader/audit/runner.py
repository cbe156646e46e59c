"""Runs the unit checks of a topic on every mutant of its solution, and says what was noticed."""

import ast
import functools
import io
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from types import FrameType

from grader.audit.mutants import Mutant, mutants_of
from grader.audit.pool import DIED, OVERDUE, limited, worked
from grader.contract.spec import Check, Topic, span
from grader.contract.student import Student, StudentError
from grader.contract.symptoms import is_telling
from grader.grading.diagnosis import Recorded, likely_mistakes, reproduces, trusted
from grader.grading.grade import verdict_of
from grader.records import Verdict

__all__ = ["SEED", "Audit", "Contribution", "Finding", "audit"]

SEED = 0
FURTHER_SEEDS = 3  # on which a named mistake must give all answers of the mutant, too, or its name is false
FACTOR, LEAST = 10, 2.0  # a check may take that many times the processor time that it takes on the solution, and at least so many seconds
MUTANT_SECONDS = 120.0  # on the wall clock, before the process is killed
NOT_NOTICED = (Verdict.PASSED, Verdict.GRADER_FAULT)


@dataclass(frozen=True)
class Finding:
    """What the checks found in one mutant."""

    mutant: Mutant
    verdicts: dict[str, Verdict]  # of the checks of its exercise, by name
    elsewhere: tuple[str, ...] = ()  # the failing checks of other exercises
    named: dict[str, str | None] = field(default_factory=dict)  # the likely mistake by the name of each check whose answers were wrong
    feedback: dict[str, str] = field(default_factory=dict)  # what the student reads, by the name of each failing check of its exercise
    false_names: tuple[str, ...] = ()  # named mistakes that give other answers on further seeds
    stopped: str | None = None  # why not all checks were run: overdue, died, or the reason why it cannot be loaded

    @property
    def failing(self) -> tuple[str, ...]:
        return tuple(name for name, verdict in self.verdicts.items() if verdict not in NOT_NOTICED)

    @property
    def killed(self) -> bool:
        return bool(self.failing) or self.stopped is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The catalogued mistakes that are named."""
        return tuple(dict.fromkeys(name for name in self.named.values() if name is not None))

    @property
    def symptom(self) -> str | None:
        """A sentence that tells what is wrong or where, if some failing check of the exercise has one."""
        own_stop = self.stopped if "timeout" in self.verdicts.values() or not self.verdicts else None
        return next((text for text in [*self.feedback.values(), own_stop] if text and is_telling(text)), None)

    @property
    def is_told(self) -> bool:
        """Whether the student reads a name or a symptom."""
        return bool(self.names) or self.symptom is not None


@dataclass(frozen=True)
class Contribution:
    """What one check of an exercise notices."""

    name: str
    noticed: int  # mutants of its exercise
    added: int  # of them, those that no check before it notices; 0 if the exercise could do without it


@dataclass(frozen=True)
class Audit:
    """The findings for all mutants of a topic's exercises, or of some."""

    topic: Topic
    exercises: tuple[str, ...]
    findings: tuple[Finding, ...]
    seconds: float

    def of(self, exercise: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.mutant.exercise == exercise]

    def contributions(self, exercise: str) -> list[Contribution]:
        """Return what the checks of an exercise contribute: first a few that notice all there is, from the strongest on, then the others.

        Checks overlap, so that hardly one is alone with what it notices. The few are what is left when each, the weakest first, goes
        where those that stay notice as much: none of them could go, too.
        """
        noticed = {
            check.name: {finding.mutant.id for finding in self.of(exercise) if check.name in finding.failing}
            for check in self.topic.checks
            if check.exercise == exercise
        }
        strongest = sorted(noticed, key=lambda name: len(noticed[name]), reverse=True)
        few = list(strongest)
        for name in reversed(strongest):
            if noticed[name] <= set().union(*(noticed[other] for other in few if other != name)):
                few.remove(name)
        found, before = [], set[str]()
        for name in [*few, *(name for name in noticed if name not in few)]:
            found.append(Contribution(name, len(noticed[name]), len(noticed[name] - before)))
            before |= noticed[name]
        return found


def audit(
    topic: Topic,
    exercises: tuple[str, ...] | None = None,
    jobs: int = 1,
    seed: int = SEED,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Return what the topic's checks find in every mutant of the exercises, of all by default.

    Args:
        jobs: processes.
        seed: of the hidden inputs.
        progress: called with (mutants done, mutants in all).

    Raises:
        ValueError: the solution itself fails a check.
    """
    start, source = time.monotonic(), topic.solution.read_text()
    exercises = tuple(exercises or topic.exercises)
    ((_, seen),) = worked(lambda task: _reference(topic, source, seed), [None], 1, MUTANT_SECONDS)
    if not isinstance(seen, dict):
        raise ValueError(f"the solution of {topic.name} could not be checked: {'no end' if seen == OVERDUE else seen}")
    mutants = [mutant for exercise in exercises for mutant in mutants_of(source, exercise)]
    findings: dict[int, Finding] = {}
    outcomes = worked(lambda index: _found(topic, mutants[index], source, seen, seed), range(len(mutants)), jobs, MUTANT_SECONDS)
    for done, (index, outcome) in enumerate(outcomes, 1):
        findings[index] = Finding(mutants[index], {}, stopped=outcome) if outcome in (DIED, OVERDUE) else outcome
        progress(done, len(mutants))
    return Audit(topic, exercises, tuple(findings[index] for index in range(len(mutants))), time.monotonic() - start)


@dataclass(frozen=True)
class _Seen:
    """What a check does on the solution."""

    seconds: float  # of processor time
    exercises: frozenset[str]  # whose code it runs: a mutant of another one cannot change what it finds


def _reference(topic: Topic, source: str, seed: int) -> dict[str, _Seen] | str:
    """Return what each check does on the solution, by name; or which check the solution fails."""
    student, spans, seen = trusted(topic, source, topic.solution.name), _spans(topic, source), {}
    for check in topic.checks:
        verdict, feedback = verdict_of(topic, check, student, seed)
        if verdict != "passed":
            return f"it fails {check.name}: {feedback}"
        start = time.process_time()
        verdict_of(topic, check, student, seed)
        seconds = time.process_time() - start
        entered: set[int] = set()

        def profile(frame: FrameType, event: str, argument: object, entered: set[int] = entered) -> None:
            if event == "call" and frame.f_code.co_filename == topic.solution.name:
                entered.add(frame.f_code.co_firstlineno)

        sys.setprofile(profile)
        try:
            verdict_of(topic, check, student, seed)
        finally:
            sys.setprofile(None)
        seen[check.name] = _Seen(seconds, frozenset(name for name, lines in spans.items() if entered & lines) | {check.exercise})
    return seen


def _spans(topic: Topic, source: str) -> dict[str, set[int]]:
    """Return the lines of each exercise, counted from 1, its decorators' included."""
    lines = {}
    for exercise in topic.exercises:
        start, end = span(source, exercise)
        decorated = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef) and node.lineno == start + 1]
        first = min([start + 1, *(decorator.lineno for node in decorated for decorator in node.decorator_list)])
        lines[exercise] = set(range(first, end + 1))
    return lines


def _found(topic: Topic, mutant: Mutant, source: str, seen: dict[str, _Seen], seed: int) -> Finding:
    """Run the checks of the mutant's exercise, and those others that run its code."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # what a mutant makes a library warn of is news to nobody
        try:
            student = trusted(topic, mutant.applied(source), topic.solution.name)
        except StudentError as error:
            return Finding(mutant, {}, stopped=error.feedback)
        _warm(topic, source, seed)
        own = [check for check in topic.checks if check.exercise == mutant.exercise]
        others = [check for check in topic.checks if check not in own and mutant.exercise in seen[check.name].exercises]
        ours = _run(topic, student, own, seen, seed)
        theirs = _run(topic, student, others, seen, seed) if not ours.interrupted else _Run({}, {}, {}, interrupted=True)
        named = _named(topic, mutant.exercise, ours, seed)
        return Finding(
            mutant,
            ours.verdicts,
            tuple(name for name, verdict in theirs.verdicts.items() if verdict not in NOT_NOTICED),
            named,
            {name: text for name, text in ours.feedback.items() if text},
            _false_names(topic, student, own, seen, {name for name in named.values() if name}, seed),
            OVERDUE if ours.interrupted or theirs.interrupted else None,
        )


@dataclass(frozen=True)
class _Run:
    """What came of some checks on one seed, by their names; after one that was interrupted none is run."""

    verdicts: dict[str, Verdict]
    feedback: dict[str, str | None]
    answers: dict[str, list]
    interrupted: bool


def _run(topic: Topic, student: Student, checks: list[Check], seen: dict[str, _Seen], seed: int) -> _Run:
    run = _Run({}, {}, {}, interrupted=False)
    for check in checks:
        recorded = Recorded(student)
        with limited(max(LEAST, FACTOR * seen[check.name].seconds)) as interrupted:
            run.verdicts[check.name], run.feedback[check.name] = verdict_of(topic, check, recorded, seed)
        if interrupted:
            run.verdicts[check.name] = Verdict.TIMEOUT
            run.feedback.pop(check.name, None)  # what the interruption looked like from inside
            return replace(run, interrupted=True)
        run.answers[check.name] = recorded.answers
    return run


@functools.cache
def _warm(topic: Topic, source: str, seed: int) -> None:
    """Run every check once in this process: libraries import more of themselves at first use, which is no mutant's fault."""
    student = trusted(topic, source, topic.solution.name)
    for check in topic.checks:
        verdict_of(topic, check, student, seed)


def _named(topic: Topic, exercise: str, run: _Run, seed: int) -> dict[str, str | None]:
    wrong = [name for name, verdict in run.verdicts.items() if verdict == Verdict.WRONG]
    if not wrong:
        return {}
    likely = likely_mistakes(topic, exercise, run.answers, seed)
    return {name: likely[name].mistake.name if name in likely else None for name in wrong}


def _false_names(
    topic: Topic, student: Student, checks: list[Check], seen: dict[str, _Seen], names: set[str], seed: int
) -> tuple[str, ...]:
    """Return those named mistakes that on some further seed do not give all the answers that the mutant gives."""
    if not names:
        return ()
    runs = {other: _run(topic, student, checks, seen, other) for other in range(seed + 1, seed + 1 + FURTHER_SEEDS)}
    named = [mistake for mistake in topic.mistakes if mistake.name in names]
    return tuple(
        mistake.name
        for mistake in named
        if any(run.interrupted or not reproduces(topic, mistake, checks, run.answers, other) for other, run in runs.items())
    )
