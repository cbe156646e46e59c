"""Marks follow from what a gradebook holds: the grading that counts by the rule, what humans decided, what being late costs."""

import datetime
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload, undefer

from grader.course import marks as shown
from grader.course import models
from grader.course.course import Course
from grader.course.marks import Mark
from grader.course.models import Adjustment, Appeal, Excuse, Extension, Grading, Person, Submission
from grader.course.rules import in_order, is_too_late, lateness, penalty
from grader.course.settings import Assignment
from grader.records import Previous, Result

__all__ = ["Account", "Accounts", "Total", "Tried", "marks_of", "result_of", "shown_person", "totals"]


@dataclass(frozen=True)
class Tried:
    """One attempt of one person."""

    number: int  # counted from 1
    submission: Submission
    grading: Grading | None  # the last one
    late: datetime.timedelta | None
    too_late: bool
    penalty: float

    @property
    def net(self) -> float:
        """What it is worth, None for nothing being taken below 0."""
        return max(0.0, self.grading.score - self.penalty) if self.grading else 0.0


@dataclass(frozen=True)
class Account:
    """Everything that a mark follows from."""

    person: Person
    assignment: str
    title: str
    setting: Assignment
    max_points: float
    due: datetime.datetime
    tried: tuple[Tried, ...]
    extensions: tuple[Extension, ...]
    adjustments: tuple[Adjustment, ...]
    excuses: tuple[Excuse, ...]
    appeals: tuple[Appeal, ...]

    @property
    def counting(self) -> Tried | None:
        """The attempt that counts: what came too late does only where there is nothing else."""
        accepted = self.accepted
        if not accepted:
            return self.tried[-1] if self.tried else None
        if self.setting.attempts == "last":
            return accepted[-1]
        return max(accepted, key=lambda tried: (tried.grading is not None, tried.net, -tried.number))

    @property
    def accepted(self) -> tuple[Tried, ...]:
        return tuple(tried for tried in self.tried if not tried.too_late)

    @property
    def excused(self) -> bool:
        return bool(self.excuses) and self.excuses[-1].excused

    @property
    def adjustment(self) -> float:
        return sum(each.points for each in self.adjustments)

    @property
    def state(self) -> shown.State:
        counting = self.counting
        if self.excused:
            return "excused"
        if counting is None:
            return "missing"
        decisive = (counting,) if self.setting.attempts == "last" else self.accepted
        if any(tried.grading is None for tried in decisive if not tried.too_late):
            return "waiting"
        return "fault" if counting.grading is not None and counting.grading.fault else "graded"

    def mark(self, result: Result | None = None, anonymous: bool = False) -> Mark:
        """Return the mark.

        Args:
            result: of the grading that counts.
            anonymous: whether the person's pseudonym stands for the person.
        """
        counting, adjustment = self.counting, self.adjustment
        counts = counting is not None and not counting.too_late
        score = counting.grading.score if counting and counting.grading and counts else 0.0
        cost = min(counting.penalty, score) if counting and counts else 0.0
        person = shown_person(self.person, anonymous, self.tried[-1].submission.assignment_id if self.tried else None)
        return Mark(
            person=person,
            assignment=self.assignment,
            title=self.title,
            state=self.state,
            points=max(0.0, score + adjustment - cost),
            max_points=self.max_points,
            score=score,
            adjustment=adjustment,
            penalty=cost,
            weight=self.setting.weight,
            attempt=counting.number if counting else None,
            attempts=len(self.tried),
            due=self.due,
            submitted_at=counting.submission.submitted_at if counting else None,
            late=counting.late if counting else None,
            origin=counting.submission.origin if counting and not anonymous else None,
            comments=() if anonymous else tuple(f"{each.points:+g}: {each.reason}" for each in self.adjustments),
            result=result and replace(result, student=person.name, previous=self._previous()),
        )

    def _previous(self) -> Previous | None:
        """Return what the grading that counts replaced, of this attempt or an earlier one."""
        counting = self.counting
        if counting is None or counting.grading is None:
            return None
        last = counting.grading.id
        before = [
            (grading.id, tried.submission, grading)
            for tried in self.tried
            for grading in tried.submission.gradings
            if grading.id < last and not grading.fault
        ]
        if not before:
            return None
        _, submission, grading = max(before, key=lambda entry: entry[0])
        return Previous(grading.score, grading.max_score, submission.sha256, grading.engine_sha256, grading.topic_sha256)


class Accounts:
    """All that a gradebook holds, as far as marks follow from it, read at once."""

    def __init__(self, course: Course, session: Session, until: datetime.datetime | None = None):
        """Args: until: leave out what came later than that."""
        self.course, self.session, self.until = course, session, until
        self.persons = list(session.scalars(select(Person).options(selectinload(Person.aliases)).order_by(Person.name, Person.id)))
        self.rows = {row.name: row for row in session.scalars(select(models.Assignment))}
        query = select(Submission).options(selectinload(Submission.members), selectinload(Submission.gradings))
        self.submissions = sorted((each for each in session.scalars(query) if self._is_in(each.taken_in_at)), key=in_order)
        self._of_person: defaultdict[tuple[int, int], list[Submission]] = defaultdict(list)
        for submission in self.submissions:
            for person_id in {member.person_id for member in submission.members if member.person_id is not None}:
                self._of_person[person_id, submission.assignment_id].append(submission)
        self._extensions = self._decided(session.scalars(select(Extension).order_by(Extension.id)))
        self._adjustments = self._decided(session.scalars(select(Adjustment).order_by(Adjustment.id)))
        self._excuses = self._decided(session.scalars(select(Excuse).order_by(Excuse.id)))
        self._appeals = self._decided(session.scalars(select(Appeal).order_by(Appeal.id)))

        self._most: dict[int, float] = {}  # the points that there are, as the gradings of an assignment say
        for submission in self.submissions:
            if grading := self.last_grading(submission):
                most = self._most.get(submission.assignment_id, 0.0)
                self._most[submission.assignment_id] = max(most, grading.max_score)

    def of(self, person: Person, assignment: str) -> Account:
        """Return what a person's mark for an assignment follows from."""
        setting, row = self.course.setting(assignment), self.rows[assignment]
        key = person.id, row.id
        due = self.due(person.id, assignment)
        submissions = self._of_person[key]
        gradings = [self.last_grading(submission) for submission in submissions]
        usual = self._most.get(row.id) or self.course.max_points(assignment) or 0.0
        max_points = max((grading.max_score for grading in gradings if grading), default=usual)
        tried = []
        for number, (submission, grading) in enumerate(zip(submissions, gradings, strict=True), start=1):
            late = lateness(submission, due, setting.late)
            cost = penalty(late, setting.late, max_points)
            tried.append(Tried(number, submission, grading, late, is_too_late(late, setting.late), cost))
        return Account(
            person=person,
            assignment=assignment,
            title=self.course.title(assignment),
            setting=setting,
            max_points=max_points,
            due=due,
            tried=tuple(tried),
            extensions=tuple(self._extensions[key]),
            adjustments=tuple(self._adjustments[key]),
            excuses=tuple(self._excuses[key]),
            appeals=tuple(self._appeals[key]),
        )

    def due(self, person_id: int, assignment: str) -> datetime.datetime:
        """Return when an assignment is due for a person."""
        extensions = self._extensions[person_id, self.rows[assignment].id]
        return extensions[-1].due if extensions else self.course.setting(assignment).due

    def expected(self) -> list[Person]:
        """Return who is in the course, and who handed in something though not in the roster any more."""
        handed = {person_id for person_id, _ in self._of_person}
        return [person for person in self.persons if not person.forgotten and (person.enrolled or person.id in handed)]

    def last_grading(self, submission: Submission) -> Grading | None:
        """Return the last grading; one in which the grader failed only where there is no other."""
        found = [grading for grading in submission.gradings if self._is_in(grading.at)]
        sound = [grading for grading in found if not grading.fault]
        return sound[-1] if sound else found[-1] if found else None

    def _is_in(self, at: datetime.datetime) -> bool:
        return self.until is None or at < self.until

    def _decided(self, rows: Iterable[models.DecidedRow]) -> defaultdict[tuple[int, int], list[models.DecidedRow]]:
        found: defaultdict[tuple[int, int], list[models.DecidedRow]] = defaultdict(list)
        for row in rows:
            if self._is_in(row.at):
                found[row.person_id, row.assignment_id].append(row)
        return found


def marks_of(
    course: Course,
    assignments: Collection[str] | None = None,
    *,
    results: bool = False,
    anonymous: bool = False,
    until: datetime.datetime | None = None,
) -> list[Mark]:
    """Return the marks of everybody, by person and then by due date.

    Args:
        assignments: only these.
        results: with the results that count, which takes time and memory.
        anonymous: pseudonyms in place of persons, in the order of the pseudonyms.
        until: as the marks stood then.

    Raises:
        CourseError: there is no such assignment.
        GradebookError: the gradebook cannot be read.
    """
    names = [name for name in course.settings.assignments if assignments is None or name in assignments]
    for name in assignments or ():
        course.setting(name)
    with course.gradebook.reading() as session:
        accounts = Accounts(course, session, until)
        people = sorted(accounts.expected(), key=lambda person: person.pseudonym) if anonymous else accounts.expected()
        found = [accounts.of(person, name) for person in people for name in names]
        texts = _texts(session, found) if results else {}
        return [account.mark(_counting_result(account, texts), anonymous) for account in found]


def result_of(text: str) -> Result:
    """Return a result that is kept as JSON."""
    return msgspec.convert(json.loads(text), Result)


def _texts(session: Session, accounts: Sequence[Account]) -> dict[int, str | None]:
    wanted = {account.counting.grading.id for account in accounts if account.counting and account.counting.grading}
    query = select(Grading).where(Grading.id.in_(wanted)).options(undefer(Grading.result)).execution_options(populate_existing=True)
    return {grading.id: grading.result for grading in session.scalars(query)}


def _counting_result(account: Account, texts: dict[int, str | None]) -> Result | None:
    counting = account.counting
    text = texts.get(counting.grading.id) if counting and counting.grading else None
    return result_of(text) if text else None


def shown_person(person: Person, anonymous: bool = False, assignment_id: int | None = None) -> shown.Person:
    """Return a person as others see it.

    Args:
        anonymous: whether the pseudonym stands for all that is known.
        assignment_id: for which the platforms' keys are told; None: only those that are the same for all.
    """
    if anonymous:
        return shown.Person(person.pseudonym, person.pseudonym)
    keys: dict[str, tuple[bool, str]] = {}
    for alias in person.aliases:
        own = alias.assignment_id is not None
        if alias.assignment_id in (None, assignment_id) and (own or not keys.get(alias.system, (False, ""))[0]):
            keys[alias.system] = own, alias.key
    return shown.Person(
        person.name, person.pseudonym, person.email, person.sid, person.group, {name: key for name, (_, key) in keys.items()}
    )


@dataclass(frozen=True)
class Total:
    """What one person has of everything that is due."""

    person: shown.Person
    points: float
    max_points: float
    is_open: bool  # something is not graded yet

    @property
    def share(self) -> float:
        return self.points / self.max_points if self.max_points else 0.0


def totals(marks: Sequence[Mark], when: datetime.datetime) -> list[Total]:
    """Return each person's total: out of everything that is due at a time, whether or not it was handed in, but for what is excused."""
    of_person: dict[str, list[Mark]] = {}
    for mark in marks:
        of_person.setdefault(mark.person.pseudonym, []).append(mark)
    found = []
    for own in of_person.values():
        due = [mark for mark in own if mark.state != "excused" and (mark.due is None or mark.due <= when)]
        found.append(
            Total(
                person=own[0].person,
                points=sum(mark.weight * mark.points for mark in due),
                max_points=sum(mark.weight * mark.max_points for mark in due),
                is_open=any(mark.state in ("waiting", "fault") for mark in due),
            )
        )
    return found
