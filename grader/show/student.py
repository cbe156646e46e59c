"""What the report of one student shows, made of this student's results only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grader.records import CheckResult, Part, Result, TrainingResult, Verdict
from grader.show.charts import LineChart, learning_chart, trace_chart
from grader.show.findings import VERDICTS
from grader.show.groups import grouped
from grader.show.words import conditions, lecture_order, likeness, sentence

__all__ = ["Band", "StudentPage"]

MAX_TRACES = 12

Band = Callable[[str, str], list[list[float]] | None]  # (topic, training check) -> that of the reference


@dataclass(frozen=True)
class Exercise:
    """The checks of one exercise."""

    name: str
    checks: tuple[CheckResult, ...]

    @property
    def score(self) -> float:
        return sum(check.score for check in self.checks)

    @property
    def max_score(self) -> float:
        return sum(check.max_score for check in self.checks)

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def shared(self) -> CheckResult | None:
        """One of several checks that all failed for the same reason, which is then said once."""
        reasons = {(check.verdict, check.feedback, check.mistake, check.hint) for check in self.checks}
        first = self.checks[0]
        return first if len(reasons) == 1 and len(self.checks) > 1 and not first.passed else None


@dataclass(frozen=True)
class Training:
    """A training check and its charts."""

    result: TrainingResult
    chart: LineChart | None
    traces: tuple[tuple[str, LineChart], ...]

    @classmethod
    def of(cls, result: TrainingResult, band: list[list[float]] | None) -> "Training":
        charts = [(name, trace_chart(name, points)) for name, points in sorted(result.traces.items())[:MAX_TRACES]]
        return cls(result, learning_chart(result, band), tuple((name, chart) for name, chart in charts if chart))


@dataclass(frozen=True)
class Start:
    """Where the student is told to begin, and why."""

    where: str
    reason: str

    @classmethod
    def of(cls, failures: Sequence[Part]) -> "Start | None":
        """Return the first step given the failures that no other exercise causes, None where there are none."""
        if not failures:
            return None
        first = failures[0]
        if first.mistake:
            return cls(first.where, sentence(f"{likeness(first)} {first.mistake}"))
        if first.verdict != Verdict.MISSING:
            return cls(first.where, sentence(first.feedback or VERDICTS[first.verdict]))
        missing = len({part.where for part in failures if part.verdict == Verdict.MISSING})
        if missing > 1:
            return cls(first.where, f"{missing} exercises are not implemented yet; this is the first.")
        return cls(first.where, "It is the only exercise that is not implemented yet.")


@dataclass(frozen=True)
class StudentTopic:
    """One topic of a student."""

    result: Result
    start: Start | None
    exercises: tuple[Exercise, ...]
    training: tuple[Training, ...]
    provenance: list[tuple[str, str]]

    @classmethod
    def of(cls, result: Result, band: Band) -> "StudentTopic":
        own = [part for part in result.failures if part.verdict != Verdict.BLOCKED and not part.is_fault]
        by_exercise = grouped(result.checks, lambda check: check.exercise)
        return cls(
            result,
            Start.of(own),
            tuple(Exercise(name, tuple(checks)) for name, checks in by_exercise.items()),
            tuple(Training.of(training, band(result.topic, training.name)) for training in result.training),
            _provenance(result),
        )

    @property
    def all_passed(self) -> bool:
        return bool(self.result.parts) and not self.result.failures


@dataclass(frozen=True)
class StudentPage:
    """The report of one student."""

    student: str
    topics: tuple[StudentTopic, ...]
    unsandboxed: bool

    @classmethod
    def of(cls, results: Sequence[Result], band: Band) -> "StudentPage":
        ordered = sorted(results, key=lambda result: lecture_order(result.topic))
        topics = tuple(StudentTopic.of(result, band) for result in ordered)
        return cls(results[0].student, topics, any(result.unsandboxed for result in results))


def _provenance(result: Result) -> list[tuple[str, str]]:
    """Return (what, its value): nothing of the seed, which a student could guess where an instructor chose a small one."""
    basis = result.provenance.basis
    return [("submission", basis.submission_sha256), *conditions(result), ("topic", basis.topic_sha256)]
