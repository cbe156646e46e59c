"""Grades one submission of one topic; names no topic. Whatever a submission does, the result is a verdict for each check."""

import dataclasses
import functools
import itertools
import math
import platform
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from msgspec.structs import replace

from grader.contract.expect import Wrong
from grader.contract.figures import Figures, calibrated
from grader.contract.spec import Attempt, Check, Topic, Training
from grader.contract.student import Student, StudentError
from grader.grading import graft as grafting
from grader.grading import reading
from grader.grading.diagnosis import Likely, Recorded, likely_mistakes, trusted
from grader.grading.provenance import basis_of, versions
from grader.grading.remote import Allowance, Sandboxed
from grader.grading.sandbox import Sandbox
from grader.grading.sequential import decision
from grader.inside.limits import Limits
from grader.records import CheckResult, Options, Points, Provenance, Result, SeedResult, Submission, TrainingResult, Verdict, finite
from npfl139.seeding import derived_seed

__all__ = ["fault", "grade", "verdict_of"]

CHECKS_SECONDS = 300.0  # of its own, for all checks of a submission; the reference needs less than one
ANSWER_BYTES = 2**18  # of a check: eight times the reference's largest; a check may make an object of every byte
TRAINING_FACTOR = 3  # after that many times the limit of one seed no further seed of a training check is begun
TIMEOUTS_PER_EXERCISE = 2  # a function that loops twice is not run a third time: a class must be graded tonight
LEAST_PATIENCE = 1 / 8  # each timeout halves the seconds of a request, down to this part of them


DEFAULTS = Options()


def grade(topic: Topic, submission: Submission, sandbox: Sandbox, options: Options = DEFAULTS) -> Result:
    """Return the result of one submission.

    Raises nothing that a submission can cause.

    Raises:
        ValueError: the options have no seed.
    """
    start = time.monotonic()
    grader = _Grader(topic, submission, sandbox, options)
    checks = grader.checks()
    trainings = [grader.training(training) for training in topic.trainings] if options.training else []
    note = None if options.training or not topic.trainings else "The training checks were not run."
    provenance = _provenance(submission, options, time.monotonic() - start)
    return Result.of(submission.student, topic.name, checks, trainings, provenance, topic.max_score, grader.problem, note)


def fault(topic: Topic, submission: Submission, options: Options, reason: str) -> Result:
    """Return the result of a submission on which the grader itself failed; none of it is charged to the student."""
    checks = [_check_result(check, Verdict.GRADER_FAULT, reason) for check in topic.checks]
    trainings = [_training_result(training, Verdict.GRADER_FAULT, reason) for training in topic.trainings] if options.training else []
    provenance = _provenance(submission, options, 0.0)
    note = "The grader failed; grade again."
    return Result.of(submission.student, topic.name, checks, trainings, provenance, topic.max_score, note=note)


def _provenance(submission: Submission, options: Options, seconds: float) -> Provenance:
    return Provenance(
        basis=basis_of(submission, options),
        versions={"python": platform.python_version(), **versions()},
        threads=torch.get_num_threads(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        seconds=round(seconds, 2),
    )


def _check_result(check: Check, verdict: Verdict, feedback: str | None) -> CheckResult:
    return CheckResult(
        name=check.name,
        claim=check.claim,
        verdict=verdict,
        score=check.points if verdict == Verdict.PASSED else 0.0,
        max_score=check.points,
        mistake=None,
        hint=None,
        feedback=feedback,
        exercise=check.exercise,
    )


def _training_result(
    training: Training,
    verdict: Verdict,
    feedback: str | None,
    figures: Figures | None = None,
    attempts: Sequence["_Attempted"] = (),
    note: str | None = None,
) -> TrainingResult:
    first = next((attempt.outcome for attempt in attempts if attempt.outcome.curve), None)
    return TrainingResult(
        name=training.name,
        claim=training.claim,
        verdict=verdict,
        score=training.points if verdict == Verdict.PASSED else 0.0,
        max_score=training.points,
        mistake=None,
        hint=None,
        feedback=feedback,
        note=note,
        environment=training.environment,
        threshold=figures.threshold if figures else None,
        false_fail=figures.false_fail if figures else None,
        false_fail_bound=figures.false_fail_bound if figures else None,
        seeds=tuple(attempt.result for attempt in attempts),
        curve=_points(first.curve) if first else (),
        traces={name: _points(points) for name, points in first.traces.items()} if first else {},
    )


def _points(pairs: Sequence[Sequence[float]]) -> Points:
    return tuple((int(step), finite(value)) for step, value in pairs)


@dataclass(frozen=True)
class _Attempted:
    """One seed of a training check, tried."""

    number: int
    outcome: Attempt
    seconds: float
    passed: bool

    @property
    def result(self) -> SeedResult:
        return SeedResult(self.number, finite(self.outcome.score), int(self.outcome.steps), self.seconds, self.passed)


class _Grader:
    """The state of grading one submission: the worker it is loaded in, and why it could not be, if so."""

    def __init__(self, topic: Topic, submission: Submission, sandbox: Sandbox, options: Options):
        if options.seed is None:
            raise ValueError("a submission is graded with a seed: put that of the folder of results, Store.seed, into the options")
        self.topic, self.sandbox, self.options, self.seed = topic, sandbox, options, options.seed
        self.submission = submission = reading.read(submission, sandbox)
        self.allowance = Allowance(math.inf if options.limit is None else options.limit)
        self.source, self.problem = submission.source or "", submission.problem
        self.unloadable = StudentError("crashed", submission.problem) if submission.problem else None
        self.passing: set[str] = set()  # exercises with a passed check

    def checks(self) -> list[CheckResult]:
        """Run every hidden check; one worker serves them until it dies."""
        results: list[CheckResult] = []
        answers: dict[str, dict[str, list[Any]]] = {}
        timeouts: dict[str, int] = {}
        student, allowance, limits = None, Allowance(CHECKS_SECONDS, self.allowance), Limits(answer=ANSWER_BYTES)
        feedback: str | None
        for check in self.topic.checks:
            late = allowance.left <= 0
            if not late and (student is None or not student.alive):
                student = self.loaded(limits, allowance)
            if student is not None:
                patience = max(LEAST_PATIENCE, 0.5 ** sum(timeouts.values()))
                student.limits = dataclasses.replace(limits, seconds=limits.seconds * patience)
            if late:
                verdict, feedback = (
                    Verdict.TIMEOUT,
                    f"the checks before it took the {self.seconds:g} seconds that there are for all of them",
                )
            elif self.unloadable is not None:
                verdict, feedback = Verdict(self.unloadable.verdict), self.unloadable.feedback
            elif timeouts.get(check.exercise, 0) >= TIMEOUTS_PER_EXERCISE:
                verdict, feedback = Verdict.TIMEOUT, "it did not return in time in earlier checks and was not run again"
            else:
                assert student is not None  # or it would be unloadable
                recorded = Recorded(student)
                verdict, feedback = verdict_of(self.topic, check, recorded, self.seed)
                answers.setdefault(check.exercise, {})[check.name] = recorded.answers
                timeouts[check.exercise] = timeouts.get(check.exercise, 0) + (verdict == Verdict.TIMEOUT)
            if verdict == Verdict.PASSED:
                self.passing.add(check.exercise)
            results.append(_check_result(check, verdict, self.located(feedback)))
        if student is not None:
            student.close()
        return self.diagnosed(results, answers)

    @property
    def seconds(self) -> float:
        """The seconds that there are for all checks."""
        return CHECKS_SECONDS if self.options.limit is None else min(CHECKS_SECONDS, self.options.limit)

    def diagnosed(self, results: list[CheckResult], answers: dict[str, dict[str, list]]) -> list[CheckResult]:
        """Return the results with the likely mistake named where an answer was wrong."""
        likely: dict[str, Likely] = {}
        for exercise in {result.exercise for result in results if result.verdict == Verdict.WRONG}:
            likely |= likely_mistakes(self.topic, exercise, answers.get(exercise, {}), self.seed)
        return [
            replace(result, mistake=found.mistake.name, hint=found.mistake.hint, certain=found.certain)
            if result.verdict == Verdict.WRONG and (found := likely.get(result.name)) is not None
            else result
            for result in results
        ]

    def training(self, training: Training) -> TrainingResult:
        """Run a training check over its seeds, in a fresh worker each, until the outcome is certain."""
        figures = calibrated(self.topic.name, training.name)
        result = functools.partial(_training_result, training, note=self.graft.note if self.graft else None)
        if figures is None:
            uncalibrated = f"this check has not been calibrated: run npfl139 calibrate {self.topic.name}"
            return result(Verdict.GRADER_FAULT, uncalibrated)
        lacking = [exercise for exercise in grafting.needs(self.topic, training) if exercise not in self.passing]
        if lacking and self.unloadable is None:
            return result(Verdict.BLOCKED, f"it is blocked by {lacking[0]}, which passes no check yet", figures)
        attempts: list[_Attempted] = []
        decided = None
        for attempt in _attempts(self, training, figures.threshold):
            if isinstance(attempt, StudentError):
                return result(*self.failed(attempt), figures, attempts)
            attempts.append(attempt)
            decided = decision([attempt.passed for attempt in attempts])
            if decided is not None:
                break
        if decided:
            return result(Verdict.PASSED, None, figures, attempts)
        scores = ", ".join(f"{attempt.outcome.score:.4g}" for attempt in attempts)
        feedback = f"it reached {scores}; {figures.threshold:.4g} is needed"
        return result(Verdict.WRONG, feedback, figures, attempts)

    def failed(self, error: StudentError) -> tuple[Verdict, str | None]:
        """Return the verdict and the feedback of a training check that an error ended."""
        if error.verdict == Verdict.MISSING and error.exercise in self.passing:
            where = "define it by a plain def or assignment at the top level, by which it can be found without running the file"
            return Verdict.BLOCKED, f"it is blocked by {error.exercise}, which was not found in the file: {where}"
        if error.verdict == Verdict.MISSING and error.exercise in self.topic.exercises:
            return Verdict.BLOCKED, _blocked_by(error)
        return Verdict(error.verdict), self.located(error.feedback)

    @functools.cached_property
    def graft(self) -> grafting.Graft | None:
        """The submission's exercises in the given code; None, with the reason kept, when it cannot be loaded."""
        if self.unloadable is None:
            try:
                return reading.taken_apart(self.topic, self.source, self.sandbox)
            except StudentError as error:
                self.unloadable = error
        return None

    def located(self, feedback: str | None) -> str | None:
        """Return the feedback with the lines of a notebook's source told as cells and their lines."""
        if feedback is None or not self.submission.cells:
            return feedback
        return re.sub(r"(?<=in )line (\d+)", lambda match: self.submission.locate(int(match[1])), feedback)

    def loaded(self, limits: Limits, allowance: Allowance, graft: grafting.Graft | None = None) -> Sandboxed | None:
        """Return the submission, or its graft, loaded in a worker of its own; None, with the reason kept, when it cannot be loaded."""
        if self.unloadable is not None:
            return None
        student = Sandboxed(self.sandbox, limits, allowance)
        try:
            source, filename = (self.source, self.submission.filename) if graft is None else (graft.given, "the given code")
            student.load(source, self.topic.name, filename, self.topic.prerequisite_sources)
            if graft is not None:
                graft.plant(student, self.submission.filename)
        except StudentError as error:
            student.close()
            what = "the file cannot be loaded" if graft is None else "its exercises cannot be put into the given code"
            self.unloadable = StudentError(error.verdict, f"{what}: {self.located(error.feedback)}")
            if error.verdict != Verdict.GRADER_FAULT and graft is None:
                self.problem = self.unloadable.feedback
            return None
        return student


def _attempts(grader: _Grader, training: Training, threshold: float) -> Iterator[_Attempted | StudentError]:
    """Yield one seed after another, tried, or the error that ended the check."""
    allowance = Allowance(TRAINING_FACTOR * training.seconds, grader.allowance)
    for index in itertools.count(1):
        if grader.allowance.left <= 0:
            yield StudentError("timeout", f"the submission has used up the {grader.options.limit:g} seconds that there are for all of it")
            return
        if allowance.left <= 0:
            yield StudentError("timeout", f"its seeds together took more than {TRAINING_FACTOR * training.seconds:.0f} seconds")
            return
        seed = derived_seed(grader.seed, "training", training.name, index)
        student = grader.loaded(
            Limits(seconds=training.seconds, cpu_seconds=training.seconds), Allowance(training.seconds, allowance), grader.graft
        )
        if student is None:
            assert grader.unloadable is not None  # it says why
            yield grader.unloadable
            return
        start = time.monotonic()
        try:
            with student:
                outcome = training.attempt(student, seed)
        except StudentError as error:
            yield error
            return
        except Wrong as error:
            yield StudentError("wrong", str(error))
            return
        except Exception as error:  # the check itself failed; what was graded before keeps its points
            yield StudentError("grader_fault", f"the check {training.name} failed by itself: {type(error).__name__}")
            return
        yield _Attempted(index, outcome, round(time.monotonic() - start, 2), bool(outcome.score >= threshold))


def verdict_of(topic: Topic, check: Check, student: Student, seed: int) -> tuple[Verdict, str | None]:
    """Return the verdict of one check and the feedback that goes with it."""
    try:
        check.run(student, seed)
    except Wrong as error:
        return Verdict.WRONG, str(error)
    except StudentError as error:
        if error.verdict == Verdict.MISSING and error.exercise != check.exercise and error.exercise in topic.exercises:
            return Verdict.BLOCKED, _blocked_by(error)
        return Verdict(error.verdict), error.feedback
    except Exception as error:  # the check itself failed: because of what the submission returned, or is the check broken?
        if _reference_passes(topic, check, seed):
            return Verdict.WRONG, "it returned something of another kind than the exercise asks for"
        return Verdict.GRADER_FAULT, f"the check {check.name} failed by itself: {type(error).__name__}"
    return Verdict.PASSED, None


def _blocked_by(error: StudentError) -> str:
    return f"it is blocked by {error.exercise}, which is not implemented yet"


def _reference_passes(topic: Topic, check: Check, seed: int) -> bool:
    try:
        check.run(trusted(topic, topic.solution.read_text(), topic.solution.name), seed)
    except Exception:
        return False
    return True
