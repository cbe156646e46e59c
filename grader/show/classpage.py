"""What the report of a class shows."""

import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from grader.records import CheckResult, Part, Result, TrainingResult
from grader.show.charts import DotPlot, dot_plot
from grader.show.findings import finding
from grader.show.groups import grouped
from grader.show.words import TONES, conditions, joined, lecture_order, wording

__all__ = ["ClassPage", "Marks"]

BINS = 10
FEW = 40
ORDER_OF_TONES = ("passed", "wrong", "stopped", "fault", "open")


@dataclass(frozen=True)
class Marks:
    """What a course makes of results: points that humans added, or being late took."""

    points: Mapping[tuple[str, str], tuple[float, str]]  # by (student, topic): what counts, and how it differs from the result, or ""
    totals: Mapping[str, tuple[float, float]]  # by student: (points, out of how many), also of who handed in nothing
    waiting: Collection[tuple[str, str]] = ()  # (student, topic) of what was handed in and has no result yet


@dataclass(frozen=True)
class StudentRow:
    """A student in the table of all."""

    name: str
    results: tuple[Result | None, ...]  # for every topic of the class
    counted: tuple[tuple[float, str] | None, ...]  # for every topic: the points, and what a course made of the result
    waiting: tuple[bool, ...]  # for every topic: something was handed in that has no result yet
    score: float
    max_score: float
    marks: str  # a letter for every column of every topic: p passed, or the first of a tone; x not graded, - not handed in, ? waiting
    finding: str  # the main one, of the first result

    @classmethod
    def of(cls, name: str, results: Sequence[Result], topics: "Sequence[ClassTopic]", made: Marks | None) -> "StudentRow":
        by_topic = {result.topic: result for result in results}
        own = tuple(by_topic.get(topic.name) for topic in topics)
        waiting = tuple((name, topic.name) in (made.waiting if made else ()) for topic in topics)
        marks = "".join(_marks(*each) for each in zip(own, waiting, topics, strict=True)) + "?" * any(waiting)
        counted = tuple(_counted(name, topic.name, result, made) for topic, result in zip(topics, own, strict=True))
        score, most = math.fsum(result.score for result in results), math.fsum(topic.max_score for topic in topics)
        if made is not None:
            score, most = made.totals.get(name, (score, most))
        nothing = "not graded yet" if any(waiting) else "nothing handed in"
        return cls(name, own, counted, waiting, score, most, marks, finding(results[0]) if results else nothing)


@dataclass(frozen=True)
class Cell:
    """A student and an exercise, or a training check, in the matrix."""

    tone: str
    text: str
    title: str

    @classmethod
    def of(cls, result: Result, column: str) -> "Cell | None":
        parts = [part for part in result.parts if part.where == column]
        if not parts:
            return None
        failed = Counter(TONES[part.verdict] for part in parts if not part.passed)
        tone = "passed" if not failed else "fault" if "fault" in failed else failed.most_common(1)[0][0]
        words = ", ".join(f"{count} {wording(verdict)}" for verdict, count in Counter(part.verdict for part in parts).items())
        return cls(tone, f"{_passed(parts)}/{len(parts)}", f"{result.student}, {column}: {words}")


@dataclass(frozen=True)
class CheckRate:
    """How a class did at one check."""

    exercise: str
    claim: str
    passed: int
    total: int
    tones: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, checks: Sequence[CheckResult]) -> "CheckRate":
        tones = Counter(TONES[check.verdict] for check in checks)
        counts = tuple((tone, tones[tone]) for tone in ORDER_OF_TONES if tones[tone])
        return cls(checks[0].exercise, checks[0].claim, tones["passed"], len(checks), counts)


@dataclass(frozen=True)
class Column:
    """How a class did at an exercise, or a training check: only who passed all its checks counts as passed."""

    name: str
    passed: int
    total: int
    tones: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, name: str, cells: "Sequence[Cell | None]") -> "Column":
        tones = Counter(cell.tone for cell in cells if cell)
        return cls(name, tones["passed"], tones.total(), tuple((tone, tones[tone]) for tone in ORDER_OF_TONES if tones[tone]))


@dataclass(frozen=True)
class MistakeRow:
    """A named mistake and who made it."""

    exercise: str
    name: str
    students: tuple[str, ...]


@dataclass(frozen=True)
class ClassTraining:
    """How a class did at one training check."""

    result: TrainingResult  # one of them, for what they have in common
    plot: DotPlot | None
    plotted: int
    passed: int
    total: int

    @classmethod
    def of(cls, by_student: Sequence[tuple[str, TrainingResult]]) -> "ClassTraining":
        trainings = [training for _, training in by_student]
        returns = [(name, [seed.returned for seed in training.seeds if seed.returned is not None]) for name, training in by_student]
        medians = [(name, statistics.median(values)) for name, values in returns if values]
        plot = dot_plot(medians, trainings[-1].threshold)
        return cls(trainings[-1], plot, len(medians), _passed(trainings), len(trainings))


@dataclass(frozen=True)
class ClassTopic:
    """One topic of a class."""

    name: str
    max_score: float
    first: int  # of its columns among those of all topics
    loaded: int
    histogram: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    matrix: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    mistakes: tuple[MistakeRow, ...]
    failing: tuple[CheckRate, ...]  # the worst first
    always_passed: int
    training: tuple[ClassTraining, ...]

    @classmethod
    def of(cls, name: str, results: Sequence[Result], first: int, given: float) -> "ClassTopic":
        loaded = [result for result in results if not result.problem]
        by_check = grouped((check for result in loaded for check in result.checks), lambda check: (check.exercise, check.name))
        rates = [CheckRate.of(checks) for checks in by_check.values()]
        failing = [rate for rate in rates if rate.passed < rate.total]
        columns = tuple(dict.fromkeys(part.where for result in results for part in result.parts))
        trained = [(result.student, training) for result in loaded for training in result.training]
        return cls(
            name,
            max([given, *(result.max_score for result in results)]),
            first,
            len(loaded),
            _histogram(results),
            columns,
            tuple((result.student, tuple(Cell.of(result, column) for column in columns)) for result in results),
            _mistakes(results),
            tuple(sorted(failing, key=lambda rate: rate.passed / rate.total)),
            len(rates) - len(failing),
            tuple(ClassTraining.of(own) for own in grouped(trained, lambda pair: pair[1].name).values()),
        )

    @property
    def tallest(self) -> int:
        return max(1, *(count for _, count in self.histogram))

    @property
    def shares(self) -> list[Column]:
        return [Column.of(name, [cells[place] for _, cells in self.matrix]) for place, name in enumerate(self.columns)]


@dataclass(frozen=True)
class ClassPage:
    """The report of a class."""

    course: str | None  # its title and term
    results: tuple[Result, ...]
    students: tuple[StudentRow, ...]
    topics: tuple[ClassTopic, ...]
    damaged: tuple[str, ...]  # files that hold no result
    failed: tuple[str, ...]  # sentences about pages that could not be written
    marked: bool  # whether it shows the marks of a course, not only what grading gave

    @classmethod
    def of(
        cls,
        results: Sequence[Result],
        damaged: Sequence[str] = (),
        failed: Sequence[str] = (),
        course: str | None = None,
        given: Mapping[str, float] | None = None,
        marks: Marks | None = None,
    ) -> "ClassPage":
        """Return the page of these results; `given` adds topics that the class was given, with their maxima."""
        maxima = dict(given or {})
        by_topic = grouped(results, lambda result: result.topic)
        topics: list[ClassTopic] = []
        for name in sorted(maxima | by_topic, key=lecture_order):
            first = sum(len(topic.columns) for topic in topics)
            topics.append(ClassTopic.of(name, by_topic.get(name, []), first, maxima.get(name, 0.0)))
        by_student = grouped(results, lambda result: result.student)
        names = dict.fromkeys((*(marks.totals if marks else ()), *by_student))
        rows = [StudentRow.of(name, by_student.get(name, []), topics, marks) for name in names]
        return cls(course, tuple(results), tuple(rows), tuple(topics), tuple(damaged), tuple(failed), marks is not None)

    @property
    def max_score(self) -> float:
        """Of everything that the class was given; in a course, with its weights and what is due."""
        return (
            max((row.max_score for row in self.students), default=0.0)
            if self.marked
            else math.fsum(topic.max_score for topic in self.topics)
        )

    @property
    def large(self) -> bool:
        """Whether there are too many students to show each with every exercise."""
        return len(self.students) > FEW

    def places(self, names: Sequence[str]) -> str:
        """Return the places of students, counted from 0, as the page's script reads them."""
        places = {row.name: place for place, row in enumerate(self.students)}
        return " ".join(str(places[name]) for name in names)

    @property
    def waiting(self) -> bool:
        """Whether something was handed in that has no result yet."""
        return any(any(row.waiting) for row in self.students)

    @property
    def faults(self) -> list[tuple[Result, Part]]:
        return [(result, part) for result in self.results for part in result.faults]

    @property
    def problems(self) -> list[Result]:
        return [result for result in self.results if result.problem]

    @property
    def unsandboxed(self) -> bool:
        return any(result.unsandboxed for result in self.results)

    @property
    def mixed(self) -> bool:
        """Whether the results do not all come from the same grader and options."""
        topics = {(result.topic, result.provenance.basis.topic_sha256) for result in self.results}
        return len({tuple(_conditions(result)) for result in self.results}) > 1 or len(topics) > len(self.topics)

    @property
    def median_share(self) -> str:
        return f"{100 * statistics.median(result.share for result in self.results):.0f} %" if self.results else "–"

    @property
    def full_marks(self) -> int:
        return sum(result.share == 1 for result in self.results)

    @property
    def provenance(self) -> list[tuple[str, str]]:
        topics = [[("topics", f"{result.topic} {result.provenance.basis.topic_sha256}")] for result in self.results]
        return joined([*map(_conditions, self.results), *topics])


def _conditions(result: Result) -> list[tuple[str, str]]:
    return [*conditions(result), ("SHA-256 of the seed", result.provenance.basis.seed_sha256)]


def _marks(result: Result | None, waiting: bool, topic: ClassTopic) -> str:
    if result is None or result.problem:
        return ("?" if waiting else "-" if result is None else "x") * len(topic.columns)
    cells = (Cell.of(result, column) for column in topic.columns)
    return "".join("-" if cell is None else cell.tone[0] for cell in cells)


def _counted(student: str, topic: str, result: Result | None, made: Marks | None) -> tuple[float, str] | None:
    told = made.points.get((student, topic)) if made else None
    return told or (None if result is None else (result.score, ""))


def _histogram(results: Sequence[Result]) -> tuple[tuple[str, int], ...]:
    bins = Counter(min(int(result.share * BINS), BINS - 1) for result in results)
    return tuple((f"{100 * index // BINS} to {100 * (index + 1) // BINS} %", bins[index]) for index in range(BINS))


def _mistakes(results: Sequence[Result]) -> tuple[MistakeRow, ...]:
    """Return the named mistakes with the students who made them, the most common first."""
    made: dict[tuple[str, str], set[str]] = {}
    for result in results:
        for check in result.checks:
            if check.mistake:
                made.setdefault((check.exercise, check.mistake), set()).add(result.student)
    rows = [MistakeRow(exercise, name, tuple(sorted(students))) for (exercise, name), students in made.items()]
    return tuple(sorted(rows, key=lambda row: -len(row.students)))


def _passed(parts: Sequence[Part]) -> int:
    return sum(part.passed for part in parts)
