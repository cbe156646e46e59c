"""How a course stands, and a person in it, as records: computed here, printed by the commands."""

import datetime
import functools
import itertools
from collections import Counter
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.course import models
from grader.course.checkcode import changed_checks
from grader.course.course import Course
from grader.course.decisions import open_appeals
from grader.course.marking import Account, Accounts, Total, Tried, marks_of, shown_person, totals
from grader.course.marks import Mark, Person
from grader.course.models import now
from grader.course.people import NUMBERED_ANEW
from grader.course.questions import ChangedChecks, again, differences
from grader.records import Record

__all__ = [
    "Attempt",
    "Checked",
    "Decision",
    "Graded",
    "Objection",
    "Progress",
    "Run",
    "Standing",
    "Standings",
    "State",
    "Unknown",
    "person_standings",
    "standing",
    "state",
]

LAST = 5  # runs


class Progress(Record, frozen=True):
    """How far an assignment is."""

    assignment: str
    title: str
    due: datetime.datetime
    people: int  # who are expected to hand in
    handed_in: int
    late: int
    waiting: int  # that are not graded yet
    faults: int  # on which the grader failed
    mean: float | None  # of those that are graded
    max_points: float


class Unknown(Record, frozen=True):
    """Somebody who handed in and is nobody in the course yet."""

    system: str
    key: str
    name: str | None
    assignment: str | None  # where the platform numbers people anew for each


class Objection(Record, frozen=True):
    """An appeal that nobody answered yet."""

    person: Person
    assignment: str
    at: datetime.datetime
    reason: str | None  # None where it might tell who it is


class Run(Record, frozen=True):
    """One `npfl139 grade`."""

    number: int
    at: datetime.datetime
    by: str
    what: str


class State(Record, frozen=True):
    """How far a course is, and what waits for a human."""

    title: str
    term: str
    assignments: tuple[Progress, ...]
    unknown: tuple[Unknown, ...]
    appeals: tuple[Objection, ...]
    runs: tuple[Run, ...]  # the last ones, the last first


def state(course: Course, anonymous: bool = False) -> State:
    """Return how far a course is."""
    marks = marks_of(course)
    of_assignment = {name: [mark for mark in marks if mark.assignment == name] for name in course.settings.assignments}
    with course.gradebook.reading() as session:
        runs = session.scalars(select(models.Run).order_by(models.Run.id.desc()).limit(LAST)).all()
        return State(
            title=course.settings.title,
            term=course.settings.term,
            assignments=tuple(_progress(course, name, own) for name, own in of_assignment.items()),
            unknown=_unknown(session, anonymous),
            appeals=_appeals(session, anonymous),
            runs=tuple(Run(run.id, run.at, run.by, run.what) for run in runs),
        )


def _progress(course: Course, name: str, marks: list[Mark]) -> Progress:
    states = Counter(mark.state for mark in marks)
    graded = [mark.points for mark in marks if mark.state == "graded"]
    return Progress(
        assignment=name,
        title=course.title(name),
        due=course.setting(name).due,
        people=len(marks),
        handed_in=sum(mark.attempts > 0 for mark in marks),
        late=sum(mark.late is not None for mark in marks),
        waiting=states["waiting"],
        faults=states["fault"],
        mean=sum(graded) / len(graded) if graded else None,
        max_points=max((mark.max_points for mark in marks), default=course.max_points(name) or 0.0),
    )


def _unknown(session: Session, anonymous: bool) -> tuple[Unknown, ...]:
    columns = models.Member.system, models.Member.key, models.Member.name, models.Assignment.name
    joined = select(*columns).select_from(models.Member).join(models.Submission).join(models.Assignment)
    found = session.execute(joined.where(models.Member.person_id.is_(None)).distinct().order_by(*columns)).all()
    return tuple(
        dict.fromkeys(
            Unknown(system, key, None if anonymous else name, assignment if system in NUMBERED_ANEW else None)
            for system, key, name, assignment in found
        )
    )


def _appeals(session: Session, anonymous: bool) -> tuple[Objection, ...]:
    names = {row.id: row.name for row in session.scalars(select(models.Assignment))}
    return tuple(
        Objection(
            person=shown_person(session.get_one(models.Person, entry.person_id), anonymous),
            assignment=names[entry.assignment_id],
            at=entry.at,
            reason=None if anonymous else entry.reason,
        )
        for entry in open_appeals(session)
    )


class Checked(Record, frozen=True):
    """What a check gave."""

    exercise: str | None  # None: a training check
    check: str
    verdict: str
    score: float
    max_score: float
    mistake: str | None


class Graded(Record, frozen=True):
    """One grading of an attempt, in which the grader did not fail."""

    run: int
    at: datetime.datetime
    score: float
    max_score: float
    reasons: tuple[str, ...]  # what it rests on that the one before did not


class Attempt(Record, frozen=True):
    """One attempt, and what its last grading gave."""

    number: int  # counted from 1
    counts: bool
    submitted_at: datetime.datetime | None
    late: datetime.timedelta | None
    too_late: bool
    penalty: float
    problem: str | None
    score: float | None  # None where it is not graded
    max_score: float | None
    checks: tuple[Checked, ...]
    gradings: tuple[Graded, ...]


What = Literal["adjusted", "excused", "counts again", "extended", "appeal", "answered"]


class Decision(Record, frozen=True):
    """What a human decided."""

    what: What
    by: str
    at: datetime.datetime
    reason: str | None  # None where it might tell who it is about
    points: float | None = None
    due: datetime.datetime | None = None


class Standing(Record, frozen=True):
    """How one mark came about."""

    mark: Mark
    due_usually: datetime.datetime
    attempts: tuple[Attempt, ...]
    decisions: tuple[Decision, ...]


class Standings(Record, frozen=True):
    """How each mark of a person came about."""

    person: Person
    assignments: tuple[Standing, ...]
    total: Total


def person_standings(course: Course, session: Session, who: models.Person, anonymous: bool = False) -> Standings:
    """Return how each mark of a person came about."""
    accounts, changed = Accounts(course, session), functools.cache(functools.partial(changed_checks, session))
    found = tuple(_standing(accounts.of(who, name), changed, anonymous) for name in course.settings.assignments)
    [total] = totals([each.mark for each in found], now())
    return Standings(shown_person(who, anonymous), found, total)


def standing(course: Course, session: Session, who: models.Person, assignment: str) -> Standing:
    """Return how one mark came about."""
    return _standing(Accounts(course, session).of(who, assignment), functools.partial(changed_checks, session))


def _standing(account: Account, changed: ChangedChecks, anonymous: bool = False) -> Standing:
    return Standing(
        mark=account.mark(anonymous=anonymous),
        due_usually=account.setting.due,
        attempts=tuple(_attempt(tried, tried is account.counting, changed) for tried in account.tried),
        decisions=_decisions(account, anonymous),
    )


def _attempt(tried: Tried, counts: bool, changed: ChangedChecks) -> Attempt:
    grading = tried.grading
    sound: list[models.Grading | None] = [None, *(each for each in tried.submission.gradings if not each.fault)]
    return Attempt(
        number=tried.number,
        counts=counts,
        submitted_at=tried.submission.submitted_at,
        late=tried.late,
        too_late=tried.too_late,
        penalty=tried.penalty,
        problem=tried.submission.problem,
        score=grading.score if grading else None,
        max_score=grading.max_score if grading else None,
        checks=tuple(
            Checked(part.exercise, part.name, part.verdict, part.score, part.max_score, part.mistake)
            for part in (grading.parts if grading else ())
        ),
        gradings=tuple(_graded(before, each, changed) for before, each in itertools.pairwise(sound) if each),
    )


def _graded(before: models.Grading | None, after: models.Grading, changed: ChangedChecks) -> Graded:
    reasons = differences(changed, before, after) or [again(before, after)] if before else []
    return Graded(after.run_id, after.at, after.score, after.max_score, tuple(reasons))


def _decisions(account: Account, anonymous: bool) -> tuple[Decision, ...]:
    def decided(what: What, entry: models.Decided, points: float | None = None, due: datetime.datetime | None = None) -> Decision:
        return Decision(what, entry.by, entry.at, None if anonymous else entry.reason or None, points, due)

    found = [decided("adjusted", each, points=each.points) for each in account.adjustments]
    found += [decided("excused" if each.excused else "counts again", each) for each in account.excuses]
    found += [decided("extended", each, due=each.due) for each in account.extensions]
    found += [decided("answered" if each.answers else "appeal", each) for each in account.appeals]
    return tuple(sorted(found, key=lambda each: each.at))
