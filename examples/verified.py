"""Compares what a simulated course came out as with what was planted in it: persons, dates, marks, copies.

    python -m examples.make_course COURSE --verify gradescope

tells every difference in a sentence, once the course was taken in from that platform, and graded.
"""

import datetime
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from examples.make_course import AFTER, Handed, time_of
from grader.contract.registry import load
from grader.course.alike import entries
from grader.course.course import Course, open_course
from grader.course.marking import marks_of
from grader.course.marks import Mark
from grader.course.models import Person, Submission
from grader.course.people import told_apart
from grader.course.rules import in_order
from grader.show.groups import grouped
from grader.similarity.compare import similar

__all__ = ["SILENT", "Truth", "Verified", "persons_and_dates", "verify"]

SILENT = ("canvas",)  # which tells no times, only what is late
ALMOST = 1e-9
MOST_FLAGGED = 0.02  # of the pairs in which nobody copied


@dataclass(frozen=True)
class Truth:
    """What was planted, as `planted.json` says it."""

    names: dict[str, str]  # by student number
    handed: tuple[Handed, ...]

    @classmethod
    def of(cls, folder: Path) -> "Truth":
        """Read it in the folder of a simulated course."""
        told = json.loads((folder / "planted.json").read_text(encoding="utf-8"))
        handed = tuple(Handed(**{**each, "people": tuple(each["people"])}) for each in told["handed"])
        return cls({each["sid"]: each["name"] for each in told["people"]}, handed)

    def attempts(self, course: Course, sid: str, name: str, platform: str) -> list[Handed]:
        """Return the attempts of a person that a platform can tell: the last until each date at which it was looked at."""
        setting = course.setting(name)
        own = sorted((each for each in self.handed if each.assignment == name and sid in each.people), key=time_of)
        grace, days = datetime.timedelta(minutes=setting.late.grace_minutes), datetime.timedelta(days=setting.late.days)
        ends = (grace, grace + days) if platform == "github" else (datetime.timedelta(), AFTER)
        seen = [next((each for each in reversed(own) if time_of(each) <= setting.due + end), None) for end in ends]
        return [each for each in dict.fromkeys(seen) if each is not None]


@dataclass
class Verified:
    """What came out as planted, counted, and what did not, in sentences."""

    right: Counter[str] = field(default_factory=Counter)  # by persons, dates, marks, copies
    differs: list[str] = field(default_factory=list)
    flagged: int = 0  # pairs in which nobody copied
    pairs: int = 0  # that were compared

    def add(self, what: str, differs: str | None) -> None:
        self.right[what] += differs is None
        if differs is not None:
            self.differs.append(f"{what}: {differs}")


def verify(folder: Path, platform: str, copies: bool = True) -> Verified:
    """Compare a simulated course, taken in from one platform, with what was planted.

    Args:
        copies: whether to compare submissions with each other too, which says little in a class of a few people.

    Raises:
        CourseError: it cannot be opened.
    """
    course, truth, found = open_course(folder), Truth.of(folder), Verified()
    persons_and_dates(course, truth, platform, found)
    for mark in marks_of(course, results=True):
        attempts = truth.attempts(course, mark.person.sid or "", mark.assignment, platform)
        wrong = _of_mark(mark, attempts, course, platform)
        found.add("marks", f"{mark.person.name}, {mark.assignment}: {wrong}" if wrong else None)
    _same_marks(course, truth, platform, found)
    if copies:
        _copies(course, truth, found)
    return found


def persons_and_dates(course: Course, truth: Truth, platform: str, found: Verified) -> None:
    """Compare who takes part, and when they handed in what, with what was planted; add that to what was found."""
    with course.gradebook.reading() as session:
        persons = {person.sid or "": person for person in session.scalars(select(Person)) if not person.forgotten}
        for sid in truth.names.keys() | persons.keys():
            planted, there = truth.names.get(sid), persons[sid].name if sid in persons else None
            found.add("persons", None if planted == there else f"{sid} is {there} and should be {planted}")
        rows = {name: course.row(session, name).id for name in course.settings.assignments}
        own: dict[tuple[int, int], list[Submission]] = {}
        for each in sorted(session.scalars(select(Submission).options(selectinload(Submission.members))), key=in_order):
            for person_id in {member.person_id for member in each.members if member.person_id is not None}:
                own.setdefault((person_id, each.assignment_id), []).append(each)
        for sid, person in persons.items():
            for name, row in rows.items():
                told = [_told(each, platform) for each in own.get((person.id, row), ())]
                due = course.setting(name).due
                wanted = [_planted(each, due, platform) for each in truth.attempts(course, sid, name, platform)]
                found.add("dates", None if told == wanted else f"{person.name}, {name}: {told} should be {wanted}")


def _told(each: Submission, platform: str) -> tuple[object, ...]:
    return (each.late if platform in SILENT else each.submitted_at), "refused" if each.problem else each.sha256


def _planted(each: Handed, due: datetime.datetime, platform: str) -> tuple[object, ...]:
    time = time_of(each)
    return (time > due if platform in SILENT else time), "refused" if each.kind == "archive" else each.sha256


def _of_mark(mark: Mark, attempts: list[Handed], course: Course, platform: str) -> str | None:
    """Return how a mark differs from what was planted, None where it does not."""
    if mark.state == "excused":
        return None
    if not attempts:
        return None if (mark.state, mark.score) == ("missing", 0.0) else f"{mark.state}, and nothing was handed in"
    if (mark.state, mark.attempts) != ("graded", len(attempts)):
        return f"{mark.state} after {mark.attempts} attempts, of which there were {len(attempts)}"
    counting = attempts[(mark.attempt or 0) - 1]
    cost = 0.0 if platform in SILENT else _cost(counting, mark, course)
    if cost is None:
        return None if mark.score == 0 else "it came too late, and counts"
    full = sum(check.points for check in load(course.setting(mark.assignment).topic).checks)
    if abs(mark.points - max(0.0, mark.score + mark.adjustment - mark.penalty)) > ALMOST:
        return f"{mark.points} does not follow from {mark.score}, {mark.adjustment} and {mark.penalty}"
    if platform not in SILENT and abs(mark.penalty - min(cost, mark.score)) > ALMOST:
        return f"{mark.penalty} is the penalty, and should be {min(cost, mark.score)}"
    if counting.kind in ("right", "variant") and abs(mark.score - full) > ALMOST:
        return f"{mark.score} for a correct submission, and should be {full}"
    if counting.kind in ("broken", "archive", "hostile") and mark.score:
        return f"{mark.score} for what earns nothing ({counting.kind})"
    if counting.kind == "wrong" and not (0 < mark.score < full and counting.mistake in _mistakes(mark)):
        return f"{mark.score} of {full}, and the mistake {counting.mistake!r} is not named"
    return None


def _cost(handed: Handed, mark: Mark, course: Course) -> float | None:
    """Return what being late costs, None where it is too late to count."""
    late = course.setting(mark.assignment).late
    after = time_of(handed) - (mark.due or course.setting(mark.assignment).due)
    grace = datetime.timedelta(minutes=late.grace_minutes)
    if after <= grace:
        return 0.0
    if after > grace + datetime.timedelta(days=late.days):
        return None
    return late.percent_per_day / 100 * mark.max_points * -(-after // datetime.timedelta(days=1))


def _mistakes(mark: Mark) -> set[str | None]:
    return {part.mistake for part in mark.result.parts} if mark.result else set()


def _same_marks(course: Course, truth: Truth, platform: str, found: Verified) -> None:
    """What is a copy does the same as the original, and gets as many points."""
    scores = {(mark.person.sid, mark.assignment): mark for mark in marks_of(course)}
    for each in truth.handed:
        copy, original = scores.get((each.people[0], each.assignment)), scores.get((each.copy_of, each.assignment))
        if each.copy_of and copy and original and copy.state == original.state == "graded":
            same = abs(copy.score - original.score) < ALMOST
            found.add(
                "copies' marks",
                None if same else f"{copy.person.name}, {each.assignment}: {copy.score}, and the original has {original.score}",
            )


def _copies(course: Course, truth: Truth, found: Verified) -> None:
    """What is a copy is flagged; of what is none, and does not come from the same original, next to nothing is."""
    with course.gradebook.reading() as session:
        persons = list(session.scalars(select(Person)))
    numbers = {called: person.sid or "" for person, called in zip(persons, told_apart(persons).values(), strict=True)}
    called = {sid: name for name, sid in numbers.items()}
    by_topic = grouped(entries(course), lambda entry: entry.topic)
    pairs = similar(entry for own in by_topic.values() for entry in own)
    flagged = {(pair.topic, frozenset((pair.one.who, pair.other.who))) for pair in pairs if pair.flagged}
    topics = {name: setting.topic for name, setting in course.settings.assignments.items()}
    originals = {(topics[each.assignment], each.people[0]): each.copy_of for each in truth.handed if each.copy_of}
    for (topic, sid), original in originals.items():
        pair = frozenset((called.get(sid, ""), called.get(original, "")))
        found.add("copies", None if (topic, pair) in flagged else f"{topic}: {' and '.join(sorted(pair))} are not found")
    for topic, pair in flagged:
        sources = {originals.get((topic, numbers.get(who, who)), numbers.get(who, who)) for who in pair}
        found.flagged += len(sources) > 1
    found.pairs = sum(len(own) * (len(own) - 1) // 2 for own in by_topic.values())
    if found.flagged > MOST_FLAGGED * found.pairs:
        found.differs.append(f"copies: {found.flagged} of {found.pairs} pairs are flagged in which nobody copied")
