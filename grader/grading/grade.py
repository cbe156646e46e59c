"""Grades one submission of one topic, and a class of them; names no topic.

Whatever a submission does, the result is a verdict: passed, wrong, missing, blocked, crashed, timeout, memory, violation, or
grader_fault, which is never charged to the student and never counts as passed.
"""

import functools
import hashlib
import itertools
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
import torch

import solutions
from grader.classroom.intake import Submission
from grader.contract import registry
from grader.contract.expect import Wrong
from grader.contract.figures import calibrated
from grader.contract.spec import Check, Topic, Training
from grader.contract.student import Student, StudentError
from grader.grading.diagnosis import Recorded, likely_mistakes, prerequisite_sources, trusted
from grader.grading.remote import Sandboxed
from grader.grading.sandbox import Sandbox
from grader.grading.sequential import decision
from grader.inside.limits import Limits
from npfl139.seeding import derived_seed

__all__ = ["Options", "fault", "grade", "grader_sha256", "verdict_of"]

CHECKS_SECONDS = 300.0  # for all checks of a submission; the reference needs less than one
ANSWER_BYTES = 2**18  # of a check: eight times the reference's largest; a check may make an object of every byte
TRAINING_FACTOR = 3  # after that many times the limit of one seed no further seed of a training check is begun
TIMEOUTS_PER_EXERCISE = 2  # a function that loops twice is not run a third time: a class must be graded tonight


@dataclass(frozen=True)
class Options:
    """What changes a mark, and therefore stands in the report's provenance."""

    seed: int | None = 0  # of the hidden inputs, the relabellings and the evaluation; None: the secret one of the folder of results
    training: bool = True
    sandbox: str = "bwrap"


DEFAULTS = Options()


def grade(topic: Topic, submission: Submission, sandbox: Sandbox, options: Options = DEFAULTS) -> dict:
    """Return the result, schema 1, of one submission.

    Raises nothing that a submission can cause.
    """
    start = time.monotonic()
    grader = _Grader(topic, submission, sandbox, options)
    checks = grader.checks()
    trainings = [grader.training(training) for training in topic.trainings] if options.training else []
    note = None if options.training or not topic.trainings else "The training checks were not run."
    return _result(topic, submission, options, checks, trainings, grader.problem, note, time.monotonic() - start)


def fault(topic: Topic, submission: Submission, options: Options, reason: str) -> dict:
    """Return the result of a submission on which the grader itself failed; none of it is charged to the student."""
    checks = [_check_result(check, "grader_fault", reason) for check in topic.checks]
    return _result(topic, submission, options, checks, [], None, "The grader failed; grade again.", 0.0)


def _result(
    topic: Topic, submission: Submission, options: Options, checks: list, trainings: list, problem: str | None, note: str | None,
    seconds: float,
) -> dict:  # fmt: skip
    return {
        "schema": 1,
        "student": submission.student,
        "topic": topic.name,
        "score": sum(part["score"] for part in [*checks, *trainings]),
        "max_score": topic.max_score,
        "problem": problem,
        "note": note,
        "checks": checks,
        "training": trainings,
        "provenance": {
            "submission_sha256": submission.sha256,
            "grader_sha256": grader_sha256(),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "gymnasium": gymnasium.__version__,
                "numpy": np.__version__,
            },
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "sandbox": options.sandbox,
            "seed": options.seed,
            "seconds": round(seconds, 2),
        },
    }


def _check_result(check: Check, verdict: str, feedback: str | None) -> dict:
    return {
        "exercise": check.exercise,
        "name": check.name,
        "claim": check.claim,
        "verdict": verdict,
        "score": check.points if verdict == "passed" else 0.0,
        "max_score": check.points,
        "mistake": None,
        "hint": None,
        "feedback": feedback,
    }


class _Grader:
    """The state of grading one submission: the worker it is loaded in, and why it could not be, if so."""

    def __init__(self, topic: Topic, submission: Submission, sandbox: Sandbox, options: Options):
        self.topic, self.submission, self.sandbox, self.options = topic, submission, sandbox, options
        self.problem = submission.problem
        self.unloadable = StudentError("crashed", submission.problem) if submission.problem else None

    def checks(self) -> list[dict]:
        """Run every hidden check; one worker serves them until it dies."""
        results, answers, timeouts = [], {}, {}
        student, until = None, time.monotonic() + CHECKS_SECONDS
        for check in self.topic.checks:
            late = time.monotonic() >= until
            if not late and (student is None or not student.alive):
                student = self.loaded(Limits(answer=ANSWER_BYTES), until)
            if late:
                verdict, feedback = "timeout", f"the checks before it took the {CHECKS_SECONDS:.0f} seconds that there are for all of them"
            elif self.unloadable is not None:
                verdict, feedback = self.unloadable.verdict, self.unloadable.feedback
            elif timeouts.get(check.exercise, 0) >= TIMEOUTS_PER_EXERCISE:
                verdict, feedback = "timeout", "it did not return in time in earlier checks and was not run again"
            else:
                recorded = Recorded(student)
                verdict, feedback = verdict_of(self.topic, check, recorded, self.options.seed)
                answers.setdefault(check.exercise, {})[check.name] = recorded.answers
                timeouts[check.exercise] = timeouts.get(check.exercise, 0) + (verdict == "timeout")
            results.append(_check_result(check, verdict, self.located(feedback)))
        if student is not None:
            student.close()
        self.diagnose(results, answers)
        return results

    def diagnose(self, results: list[dict], answers: dict[str, dict[str, list]]) -> None:
        for exercise in {result["exercise"] for result in results if result["verdict"] == "wrong"}:
            likely = likely_mistakes(self.topic, exercise, answers.get(exercise, {}), self.options.seed)
            for result in results:
                mistake = likely.get(result["name"])
                if result["exercise"] == exercise and result["verdict"] == "wrong" and mistake is not None:
                    result["mistake"], result["hint"] = mistake.name, mistake.hint

    def training(self, training: Training) -> dict:
        """Run a training check over its seeds, in a fresh worker each, until the outcome is certain."""
        figures = calibrated(self.topic.name, training.name)
        result = {
            "name": training.name,
            "env": training.environment,
            "claim": training.claim,
            "threshold": figures["threshold"] if figures else None,
            "false_fail": figures["false_fail"] if figures else None,
            "false_fail_bound": figures["false_fail_bound"] if figures else None,
            "verdict": "passed",
            "score": 0.0,
            "max_score": training.points,
            "feedback": None,
            "seeds": [],
            "curve": [],
            "traces": {},
        }
        if figures is None:
            uncalibrated = f"this check has not been calibrated: run npfl139 calibrate {self.topic.name}"
            return result | {"verdict": "grader_fault", "feedback": uncalibrated}
        for attempt in _attempts(self, training):
            if isinstance(attempt, StudentError):
                return result | self.failed(attempt)
            number, outcome, seconds = attempt
            passed = outcome.score >= figures["threshold"]
            result["seeds"].append({"seed": number, "return": outcome.score, "steps": outcome.steps, "seconds": seconds, "passed": passed})
            if not result["curve"]:
                result["curve"], result["traces"] = [list(point) for point in outcome.curve], outcome.traces
            decided = decision([seed["passed"] for seed in result["seeds"]])
            if decided is not None:
                break
        if decided:
            return result | {"score": training.points}
        scores = ", ".join(f"{seed['return']:.4g}" for seed in result["seeds"])
        return result | {"verdict": "wrong", "feedback": f"it reached {scores}; {figures['threshold']:.4g} is needed"}

    def failed(self, error: StudentError) -> dict:
        if error.verdict == "missing" and error.exercise in self.topic.exercises:
            return {"verdict": "blocked", "feedback": f"it is blocked by {error.exercise}, which is not implemented yet"}
        return {"verdict": error.verdict, "feedback": self.located(error.feedback)}

    def located(self, feedback: str | None) -> str | None:
        """Return the feedback with the lines of a notebook's source told as cells and their lines."""
        if feedback is None or not self.submission.cells:
            return feedback
        return re.sub(r"(?<=in )line (\d+)", lambda match: self.submission.locate(int(match[1])), feedback)

    def loaded(self, limits: Limits, until: float) -> Student | None:
        """Return the submission loaded in a worker of its own; None, with the reason kept, when it cannot be loaded."""
        if self.unloadable is not None:
            return None
        student = Sandboxed(self.sandbox, limits, until)
        try:
            student.load(
                source=self.submission.source,
                name=self.topic.name,
                filename=self.submission.filename,
                prerequisites=prerequisite_sources(self.topic),
            )
        except StudentError as error:
            student.close()
            self.unloadable = StudentError(error.verdict, f"the file cannot be loaded: {self.located(error.feedback)}")
            if error.verdict != "grader_fault":
                self.problem = self.unloadable.feedback
            return None
        return student


def _attempts(grader: _Grader, training: Training) -> Iterator[tuple | StudentError]:
    """Yield (number of the seed, attempt, seconds) for one seed after another, or the error that ended the check."""
    until = time.monotonic() + TRAINING_FACTOR * training.seconds
    for index in itertools.count(1):
        if time.monotonic() >= until:
            yield StudentError("timeout", f"its seeds together took more than {TRAINING_FACTOR * training.seconds:.0f} seconds")
            return
        seed = derived_seed(grader.options.seed, "training", training.name, index)
        student = grader.loaded(Limits(seconds=training.seconds, cpu_seconds=training.seconds), time.monotonic() + training.seconds)
        if student is None:
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
        yield index, outcome, round(time.monotonic() - start, 2)


def verdict_of(topic: Topic, check: Check, student: Student, seed: int) -> tuple[str, str | None]:
    """Return the verdict of one check and the feedback that goes with it."""
    try:
        check.run(student, seed)
    except Wrong as error:
        return "wrong", str(error)
    except StudentError as error:
        if error.verdict == "missing" and error.exercise != check.exercise and error.exercise in topic.exercises:
            return "blocked", f"it is blocked by {error.exercise}, which is not implemented yet"
        return error.verdict, error.feedback
    except Exception as error:  # the check itself failed: because of what the submission returned, or is the check broken?
        if _reference_passes(topic, check, seed):
            return "wrong", "it returned something of another kind than the exercise asks for"
        return "grader_fault", f"the check {check.name} failed by itself: {type(error).__name__}"
    return "passed", None


def _reference_passes(topic: Topic, check: Check, seed: int) -> bool:
    try:
        check.run(trusted(topic, topic.solution.read_text(), topic.solution.name), seed)
    except Exception:
        return False
    return True


@functools.cache
def grader_sha256() -> str:
    """Return a hash of everything that decides a mark: the grader, the library, the solutions, the topics with their figures."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    topics = [registry.folder(name) for name in registry.available()]
    for folder in dict.fromkeys([root / "grader", root / "npfl139", *map(Path, solutions.__path__), *topics]):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".json"):
                digest.update(str(path.relative_to(folder.parent)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
