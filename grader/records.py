"""What goes from room to room: a submission, what grading it gave, what decides whether it has to be graded again.

Every record is frozen, and a result is checked where it is made and where it is read: types, ranges, finite numbers, and that the
score is the sum of its parts.
"""

import hashlib
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from npfl139.source import Source

__all__ = [
    "MAX_NUMBER",
    "SANDBOXES",
    "SCHEMA",
    "Amount",
    "Basis",
    "CheckResult",
    "Number",
    "Options",
    "Part",
    "Points",
    "Previous",
    "Provenance",
    "Record",
    "Result",
    "SandboxKind",
    "SeedResult",
    "Submission",
    "TrainingResult",
    "Verdict",
    "finite",
]

SCHEMA: Final = 2
MAX_NUMBER = 1e30  # in a result, so that the sums and differences of its readers stay finite
ROUNDING = 1e-6

Number = Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Amount = Annotated[float, Meta(ge=0, le=MAX_NUMBER)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Steps = Annotated[int, Meta(ge=-(2**53), le=2**53)]  # an agent may log whatever it likes
Points = tuple[tuple[Steps, Number | None], ...]  # (environment steps, value), None where the value is not finite
SandboxKind = Literal["bwrap", "process"]
SANDBOXES: tuple[SandboxKind, ...] = get_args(SandboxKind)


class Verdict(StrEnum):
    """What became of a check. A fault of the grader is never charged to the student and never counts as passed."""

    PASSED = "passed"
    WRONG = "wrong"
    MISSING = "missing"
    BLOCKED = "blocked"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    VIOLATION = "violation"
    GRADER_FAULT = "grader_fault"


def finite(value: float) -> float | None:
    """Return a number as results hold it: None where it is not finite, or so large that it means nothing."""
    return float(value) if math.isfinite(value) and abs(value) <= MAX_NUMBER else None


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all records."""


class Submission(Record, frozen=True):
    """What one student handed in for one topic."""

    student: str  # fit to be the name of a folder, and unique for the topic
    topic: str
    source: str | None
    filename: str  # as handed in, for messages
    sha256: str  # of the content of the file
    problem: str | None = None  # why there is no source: a sentence to the student that says what to do
    cells: tuple[tuple[int, int], ...] = ()  # see npfl139.source.Source
    unread: tuple[tuple[str, bytes], ...] = ()  # (name, content) of the files from which the source is still to be read

    def locate(self, line: int) -> str:
        """Return where the student finds a line of the source: `line 7`, or in a notebook `cell 5, line 3`."""
        return Source(self.source or "", self.cells).locate(line)


class Options(Record, frozen=True):
    """What an instructor chooses that changes a mark."""

    seed: int | None = 0  # of the hidden inputs, the relabellings and the evaluation; None: the secret one of the folder of results
    training: bool = True
    sandbox: SandboxKind = "bwrap"
    limit: float | None = None  # seconds of its own that one submission may use, all its checks and trainings together

    @property
    def seed_sha256(self) -> str:
        """What results say of the seed: whoever knew the seed itself could undo the disguise of the training tasks.

        Of a seed that is drawn it tells nothing; one that an instructor chose among few can be found by trying.
        """
        return hashlib.sha256(f"npfl139 seed {self.seed}".encode()).hexdigest()


class Basis(Record, frozen=True):
    """Everything that a mark rests on: with the same basis, grading again would only repeat the result."""

    submission_sha256: Hash
    engine_sha256: Hash
    topic_sha256: Hash
    seed_sha256: Hash
    training: bool
    sandbox: SandboxKind
    limit: Amount | None = None


class Provenance(Record, frozen=True):
    """Where a result comes from."""

    basis: Basis
    versions: dict[str, str]
    threads: Count
    cpu_capability: str
    seconds: Amount


class Part(Record, frozen=True, kw_only=True):
    """What a check or a training check gave."""

    name: str
    claim: str
    verdict: Verdict
    score: Amount
    max_score: Amount
    mistake: str | None  # the name of the catalogued mistake that gives the same outputs
    certain: bool = True  # whether the outputs prove that mistake; exceptions and zeros alone do not
    hint: str | None
    feedback: str | None

    def __post_init__(self) -> None:
        if not self.score <= self.max_score + ROUNDING:
            raise ValueError(f"{self.name} has {self.score} of {self.max_score} points")

    @property
    def where(self) -> str:
        """The name by which a student knows what the part is about."""
        return self.name

    @property
    def passed(self) -> bool:
        return self.verdict == Verdict.PASSED

    @property
    def is_fault(self) -> bool:
        return self.verdict == Verdict.GRADER_FAULT


class CheckResult(Part, frozen=True):
    """What a hidden check of an exercise gave."""

    exercise: str

    @property
    def where(self) -> str:
        return self.exercise or self.name


class SeedResult(Record, frozen=True):
    """What one seed of a training check gave."""

    seed: Count  # its number, counted from 1
    returned: Number | None = msgspec.field(name="return")  # the mean return of the evaluation; None where it is not finite
    steps: Count
    seconds: Amount
    passed: bool


class TrainingResult(Part, frozen=True):
    """What a training check gave: one result for each seed, and the curves of the first."""

    environment: str
    threshold: Number | None  # None where the check was never calibrated
    false_fail: Probability | None  # of a correct submission
    false_fail_bound: Probability | None
    seeds: tuple[SeedResult, ...]
    curve: Points
    traces: dict[str, Points]  # what the agent logged
    note: str | None = None  # what of the submission was left out

    def __post_init__(self) -> None:
        super().__post_init__()
        if len({figure is None for figure in (self.threshold, self.false_fail, self.false_fail_bound)}) > 1:
            raise ValueError(f"{self.name} has some figures of a calibration, but not all")


class Previous(Record, frozen=True):
    """What a result leaves behind that another submission, grader or topic replaced."""

    score: Amount
    max_score: Amount
    submission_sha256: Hash
    engine_sha256: Hash
    topic_sha256: Hash

    def of_the_same(self, basis: Basis) -> bool:
        """Return whether the same submission, grader and topic gave it; the options may differ."""
        return all(getattr(self, name) == getattr(basis, name) for name in ("submission_sha256", "engine_sha256", "topic_sha256"))


class Result(Record, frozen=True):
    """What grading one submission gave."""

    schema: Literal[2]
    student: str
    topic: str
    score: Amount
    max_score: Amount
    problem: str | None  # why nothing could be graded: a sentence to the student
    note: str | None
    checks: tuple[CheckResult, ...]
    training: tuple[TrainingResult, ...]
    provenance: Provenance
    previous: Previous | None

    @classmethod
    def of(
        cls,
        student: str,
        topic: str,
        checks: Sequence[CheckResult],
        training: Sequence[TrainingResult],
        provenance: Provenance,
        max_score: float | None = None,
        problem: str | None = None,
        note: str | None = None,
    ) -> "Result":
        """Return the result that has these parts; `max_score` is theirs together unless some of the topic's were not run.

        Raises:
            ValueError: something is not what a result holds.
        """
        parts: list[Part] = [*checks, *training]
        made = cls(
            schema=SCHEMA,
            student=student,
            topic=topic,
            score=math.fsum(part.score for part in parts),
            max_score=math.fsum(part.max_score for part in parts) if max_score is None else max_score,
            problem=problem,
            note=note,
            checks=tuple(checks),
            training=tuple(training),
            provenance=provenance,
            previous=None,
        )
        return msgspec.convert(msgspec.to_builtins(made), cls)  # what would be damaged once it is stored is refused here

    def __post_init__(self) -> None:
        score, max_score = (math.fsum(getattr(part, name) for part in self.parts) for name in ("score", "max_score"))
        if not abs(self.score - score) <= ROUNDING:
            raise ValueError(f"the score is {self.score}, but that of its parts together {score}")
        missing = self.max_score - max_score
        if not (abs(missing) <= ROUNDING or (missing > 0 and not self.provenance.basis.training)):
            raise ValueError(f"the maximum is {self.max_score}, but that of its parts together {max_score}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The checks and the training checks."""
        return (*self.checks, *self.training)

    @property
    def failures(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if not part.passed)

    @property
    def faults(self) -> tuple[Part, ...]:
        """The parts at which the grader itself failed."""
        return tuple(part for part in self.parts if part.is_fault)

    @property
    def is_fault(self) -> bool:
        """Whether the grader itself failed somewhere."""
        return bool(self.faults)

    @property
    def share(self) -> float:
        """The score as a part of the maximum."""
        return self.score / self.max_score if self.max_score else 0.0

    @property
    def unsandboxed(self) -> bool:
        """Whether the submission ran in a plain process, from which a dishonest one could have forged its result."""
        return self.provenance.basis.sandbox == "process"

    def superseded(self) -> Previous:
        """Return what is left of this result once another one takes its place."""
        basis = self.provenance.basis
        return Previous(
            score=self.score,
            max_score=self.max_score,
            submission_sha256=basis.submission_sha256,
            engine_sha256=basis.engine_sha256,
            topic_sha256=basis.topic_sha256,
        )
