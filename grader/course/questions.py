"""What a teaching assistant asks of a gradebook, as plain tables: computed here, printed by the commands."""

import datetime
import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from grader.course import models
from grader.course.checkcode import changed_checks
from grader.course.course import Course
from grader.course.gradebook import Gradebook
from grader.course.marking import Account, Accounts, Tried, result_of, shown_person
from grader.course.marks import Person
from grader.course.models import Grading, Part, Run
from grader.course.settings import CourseError
from grader.records import Record, Verdict

__all__ = [
    "COMPARED",
    "QUESTIONS",
    "Change",
    "Hardest",
    "Improved",
    "Missing",
    "Mistake",
    "Moved",
    "Passed",
    "Question",
    "Slowest",
    "again",
    "asked",
    "changes",
    "differences",
    "hardest",
    "improved",
    "missing",
    "mistakes",
    "moment",
    "slowest",
    "terms",
]


Question = Literal["hardest", "mistakes", "improved", "slowest", "missing"]
QUESTIONS: tuple[Question, ...] = get_args(Question)
COMPARED: tuple[Question, ...] = ("hardest", "mistakes")  # with older gradebooks


class Passed(Record, frozen=True):
    """How many passed a check."""

    passed: int
    people: int

    @property
    def share(self) -> float:
        return self.passed / self.people


class Hardest(Record, frozen=True):
    """A check, and how many passed it, by term."""

    topic: str
    exercise: str  # or the name of a training check
    check: str
    passed: dict[str, Passed]  # by term


class Mistake(Record, frozen=True):
    """A mistake, and how many people made it, by term."""

    topic: str
    exercise: str
    mistake: str
    people: dict[str, int]


class Improved(Record, frozen=True):
    """Who gained most from the first attempt to the one that counts."""

    person: Person
    assignment: str
    attempts: int
    before: float
    after: float


class Slowest(Record, frozen=True):
    """What took longest to grade."""

    person: Person
    assignment: str
    attempt: int
    seconds: float
    training_seconds: float | None  # of that; None where the result is not kept any more


class Missing(Record, frozen=True):
    """Who has not handed in what is due."""

    person: Person
    assignment: str
    due: datetime.datetime
    points: float  # that are lost


def asked(
    course: Course, question: Question, older: Sequence[Gradebook] = (), count: int | None = None, anonymous: bool = False
) -> Sequence[Record]:
    """Return the answer to a question, the most telling first; `count` is how many rows will do."""
    if question == "hardest":
        return hardest(course, older)
    if question == "mistakes":
        return mistakes(course, older)
    if question == "improved":
        return improved(course, anonymous)
    if question == "slowest":
        return slowest(course, count, anonymous)
    return missing(course, models.now(), anonymous)


def terms(course: Course, older: Sequence[Gradebook]) -> list[str]:
    """Return the terms that are compared, this one last."""
    found = []
    for gradebook in older:
        with gradebook.reading() as session:
            found.append(session.get_one(models.Course, 1).term)
    return [*found, course.settings.term]


def hardest(course: Course, older: Sequence[Gradebook] = ()) -> list[Hardest]:
    """Return the checks by the part of those who handed in that passed them, in the attempt that counts; the fewest first."""
    found: dict[tuple[str, str, str], dict[str, Passed]] = defaultdict(dict)
    for term, parts in _parts_by_term(course, older):
        counts: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
        for topic, part in parts:
            if part.verdict != Verdict.GRADER_FAULT:
                counts[topic, part.exercise or part.name, part.name].append(part.verdict == Verdict.PASSED)
        for key, passed in counts.items():
            found[key][term] = Passed(sum(passed), len(passed))
    this = course.settings.term
    rows = [Hardest(*key, passed) for key, passed in found.items() if this in passed or not _has(found, this)]
    return sorted(rows, key=lambda row: (row.passed.get(this, next(iter(row.passed.values()))).share, row.topic, row.check))


def mistakes(course: Course, older: Sequence[Gradebook] = ()) -> list[Mistake]:
    """Return the named mistakes by how many people made them, in any term; the most first."""
    found: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for term, gradings in _gradings_by_term(course, older):
        for topic, grading in gradings:
            made = {(topic, part.exercise or part.name, part.mistake) for part in grading.parts if part.mistake}
            for key in made:
                found[key][term] = found[key].get(term, 0) + 1
    rows = [Mistake(*key, people) for key, people in found.items()]
    return sorted(rows, key=lambda row: (-row.people.get(course.settings.term, 0), -sum(row.people.values()), row.topic, row.mistake))


def improved(course: Course, anonymous: bool = False) -> list[Improved]:
    """Return who gained points from the first attempt that was graded to the one that counts; the most first."""
    found = []
    with course.gradebook.reading() as session:
        for account in _accounts(course, session):
            graded = [tried for tried in account.tried if tried.grading and not tried.too_late]
            counting = account.counting
            if counting and counting.grading and graded and graded[0].grading:
                before, after = graded[0].grading.score, counting.grading.score
                if after > before:
                    person = shown_person(account.person, anonymous)
                    found.append(Improved(person, account.assignment, len(account.tried), before, after))
    return sorted(found, key=lambda row: (row.before - row.after, row.person.name))


def slowest(course: Course, count: int | None = None, anonymous: bool = False) -> list[Slowest]:
    """Return what took longest to grade, so many or all of it, and how much of that was training."""
    with course.gradebook.reading() as session:
        tried = [(account, each, each.grading) for account in _accounts(course, session) for each in account.tried if each.grading]
        tried.sort(key=lambda entry: -entry[2].seconds)
        rows = []
        for account, each, grading in tried[:count]:
            text = session.scalars(select(Grading.result).where(Grading.id == grading.id)).one()
            trained = sum(seed.seconds for check in result_of(text).training for seed in check.seeds) if text else None
            rows.append(Slowest(shown_person(account.person, anonymous), account.assignment, each.number, grading.seconds, trained))
    return rows


def missing(course: Course, when: datetime.datetime, anonymous: bool = False) -> list[Missing]:
    """Return who handed in nothing for what is due, and is not excused, by assignment and then name."""
    with course.gradebook.reading() as session:
        accounts = [account for account in _accounts(course, session) if account.state == "missing" and account.due <= when]
        rows = [Missing(shown_person(each.person, anonymous), each.assignment, each.due, each.max_points) for each in accounts]
    order = list(course.settings.assignments)
    return sorted(rows, key=lambda row: (order.index(row.assignment), row.person.name))


def _accounts(course: Course, session: Session) -> list[Account]:
    accounts = Accounts(course, session)
    return [accounts.of(person, name) for person in accounts.expected() for name in course.settings.assignments]


def _gradings_by_term(course: Course, older: Sequence[Gradebook]) -> list[tuple[str, list[tuple[str, Grading]]]]:
    """Return (term, [(topic, grading)]), of each person's attempts the one with the highest score; whoever is forgotten counts too."""
    found = []
    for gradebook in (*older, course.gradebook):
        with gradebook.reading() as session:
            term = session.get_one(models.Course, 1).term
            query = select(Grading).where(~Grading.fault).options(selectinload(Grading.parts)).order_by(Grading.id)
            gradings = {grading.submission_id: grading for grading in session.scalars(query)}
            members = select(models.Member.person_id, models.Submission.id, models.Assignment.id, models.Assignment.topic)
            joined = members.select_from(models.Member).join(models.Submission).join(models.Assignment)
            best: dict[tuple[int, int], tuple[str, Grading]] = {}
            for person_id, submission_id, assignment_id, topic in session.execute(joined.where(models.Member.person_id.is_not(None))):
                grading, key = gradings.get(submission_id), (person_id or 0, assignment_id)
                if grading and (key not in best or grading.score > best[key][1].score):
                    best[key] = topic, grading
        found.append((term, list(best.values())))
    return found


def _parts_by_term(course: Course, older: Sequence[Gradebook]) -> list[tuple[str, list[tuple[str, Part]]]]:
    return [
        (term, [(topic, part) for topic, each in gradings for part in each.parts]) for term, gradings in _gradings_by_term(course, older)
    ]


def _has(found: dict[tuple[str, str, str], dict[str, Passed]], term: str) -> bool:
    return any(term in passed for passed in found.values())


ChangedChecks = Callable[[str, str], list[str] | None]  # as `changed_checks`, of one gradebook


class Moved(Record, frozen=True):
    """A check that says something else than before."""

    exercise: str | None  # None: a training check
    check: str
    before: str | None  # the verdict; None where it was not checked
    after: str | None
    gained: float


class Change(Record, frozen=True):
    """What one person gained or lost between two states of the marks, and why."""

    person: Person
    assignment: str
    before: float
    after: float
    checks: tuple[Moved, ...]
    reasons: tuple[str, ...]


def moment(session: Session, told: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    """Return the time of a state of the marks, which is told as a time, as the number of a run of `grade` at its end, or as "now" (None).

    Raises:
        CourseError: it names none.
    """
    if told == "now":
        return None
    if told.isdigit():
        last = session.scalar(select(func.max(Run.id))) or 0
        if not 0 <= int(told) <= last:
            raise CourseError(f"there is no run {told}; there are {f'1 to {last}' if last else 'none'}, and 0 is before the first")
        if told == "0" or not last:
            return session.scalars(select(Run.at).order_by(Run.id)).first()
        graded = session.scalar(select(func.max(Grading.at)).where(Grading.run_id == int(told)))
        ended: datetime.datetime = graded or session.scalars(select(Run.at).where(Run.id == int(told))).one()
        return ended + datetime.timedelta(microseconds=1)
    try:
        time = datetime.datetime.fromisoformat(told)
    except ValueError as error:
        raise CourseError(f'{told!r} names no state of the marks: give a run of grade (3), a time (2026-11-02T18:00) or "now"') from error
    return time if time.tzinfo else time.replace(tzinfo=zone)


def changes(course: Course, before: str, after: str, anonymous: bool = False) -> list[Change]:
    """Return who gained or lost between two states of the marks, by which check, and why; who lost most comes first.

    Args:
        before, after: see `moment`.

    Raises:
        CourseError: one of them names no state.
    """
    with course.gradebook.reading() as session:
        states = [moment(session, told, course.settings.zone) for told in (before, after)]
        old, new = (Accounts(course, session, state) for state in states)
        changed = functools.cache(functools.partial(changed_checks, session))
        found = []
        for person in new.expected():
            for name in course.settings.assignments:
                change = _change(old.of(person, name), new.of(person, name), changed, anonymous)
                if change is not None:
                    found.append(change)
    return sorted(found, key=lambda row: (row.after - row.before, row.person.name))


def _change(old: Account, new: Account, changed: ChangedChecks, anonymous: bool) -> Change | None:
    before, after = old.mark().points, new.mark().points
    moved, reasons = _moved(old.counting, new.counting), []
    if abs(before - after) < 1e-9 and not moved:
        return None
    if old.counting and new.counting and old.counting.grading and new.counting.grading:
        reasons += _reasons(changed, old.counting, new, old.counting.grading, new.counting.grading)
    elif new.counting and new.counting.grading:
        reasons.append("graded for the first time")
    if old.adjustment != new.adjustment:
        reasons.append(f"adjusted by {new.adjustment - old.adjustment:+g}")
    if old.due != new.due:
        reasons.append("another due date")
    return Change(shown_person(new.person, anonymous), new.assignment, before, after, tuple(moved), tuple(reasons))


def _reasons(changed: ChangedChecks, old: Tried, new: Account, before: Grading, after: Grading) -> list[str]:
    told = []
    if new.counting and new.counting.submission.id != old.submission.id:
        numbers = {tried.submission.id: tried.number for tried in new.tried}  # an earlier one may have been taken in since
        told = [f"attempt {new.counting.number} counts in place of {numbers.get(old.submission.id, old.number)}"]
    told += differences(changed, before, after)
    return told if told or before.id == after.id else [again(before, after)]


def differences(changed: ChangedChecks, before: Grading, after: Grading) -> list[str]:
    """Return what a grading rests on that another did not."""
    told = []
    if before.topic_sha256 != after.topic_sha256:
        checks = changed(before.topic_sha256, after.topic_sha256)
        names = ", ".join(name.removeprefix("check_") for name in checks or ())
        told.append(
            "the same checks, in another version of the topic" if checks == [] else f"other checks: {names}" if names else "other checks"
        )
    for what, name in (("seed", "seed_sha256"), ("version of the grader", "engine_sha256")):
        if getattr(before, name) != getattr(after, name):
            told.append(f"another {what}")
    return told


def again(before: Grading, after: Grading) -> str:
    """Return why something was graded again where it rests on the same versions."""
    return "graded again" if before.basis_sha256 == after.basis_sha256 else "other options"


def _moved(old: Tried | None, new: Tried | None) -> list[Moved]:
    if not (old and new and old.grading and new.grading) or old.grading.id == new.grading.id:
        return []
    before = {part.name: part for part in old.grading.parts}
    after = {part.name: part for part in new.grading.parts}
    rows = []
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        gained = (other.score if other else 0.0) - (one.score if one else 0.0)
        first, second = (part.verdict if part else None for part in (one, other))
        if gained or first != second:
            exercise = next(part.exercise for part in (other, one) if part)
            rows.append(Moved(exercise, name, first, second, gained))
    return rows
