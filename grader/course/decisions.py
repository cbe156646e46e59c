"""What humans decide about one person's mark. Every decision is added to the earlier ones, with who, when and why."""

import datetime
from collections.abc import Callable

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from grader.course import models, people, roster
from grader.course.course import Course
from grader.course.models import Adjustment, Appeal, Assignment, Excuse, Extension, Person, Submission
from grader.course.settings import CourseError

__all__ = ["adjust", "answer", "appeal", "due_date", "excuse", "extend", "forget", "open_appeals"]

FORGOTTEN = "forgotten"
MOST_POINTS = 10_000.0


def adjust(session: Session, person: Person, assignment: Assignment, points: float, reason: str, by: str) -> None:
    """Give or take points.

    Raises:
        CourseError: without points, with more than a slip of the pen explains, or without a reason.
    """
    if not abs(points) <= MOST_POINTS:  # NaN is no number of points either, and what is added is never removed
        raise CourseError(
            f"an adjustment has at most {MOST_POINTS:g} points, got {points:+g}: say how many are given, +1.5, or taken, -1.5"
        )
    if not points:
        raise CourseError("an adjustment of 0 points changes nothing: say how many are given, +1.5, or taken, -1.5")
    session.add(Adjustment(person_id=person.id, assignment_id=assignment.id, points=points, reason=_expect(reason), by=by))


def extend(session: Session, person: Person, assignment: Assignment, due: datetime.datetime, reason: str, by: str) -> None:
    """Give another due date."""
    session.add(Extension(person_id=person.id, assignment_id=assignment.id, due=due, reason=reason, by=by))


def excuse(session: Session, person: Person, assignment: Assignment, excused: bool, reason: str, by: str) -> None:
    """Leave the assignment out of the person's total, or take it in again."""
    session.add(Excuse(person_id=person.id, assignment_id=assignment.id, excused=excused, reason=reason, by=by))


def appeal(session: Session, person: Person, assignment: Assignment, reason: str, by: str) -> int:
    """Keep what a person objects to; return its number."""
    entry = Appeal(person_id=person.id, assignment_id=assignment.id, reason=_expect(reason), by=by)
    session.add(entry)
    session.flush()
    return entry.id


def answer(session: Session, person: Person, assignment: Assignment, reason: str, by: str) -> None:
    """Answer the person's oldest appeal that is open.

    Raises:
        CourseError: there is none.
    """
    entry = next((each for each in open_appeals(session) if (each.person_id, each.assignment_id) == (person.id, assignment.id)), None)
    if entry is None:
        raise CourseError(f"{person.name} has no open appeal on {assignment.name}")
    session.add(Appeal(person_id=person.id, assignment_id=assignment.id, reason=_expect(reason), by=by, answers=entry.id))


def open_appeals(session: Session) -> list[Appeal]:
    """Return the appeals that nobody answered yet, the oldest first."""
    answered = select(Appeal.answers).where(Appeal.answers.is_not(None))
    return list(session.scalars(select(Appeal).where(Appeal.answers.is_(None), Appeal.id.not_in(answered)).order_by(Appeal.id)))


def due_date(session: Session, person_id: int, assignment_id: int, usual: datetime.datetime) -> datetime.datetime:
    """Return when an assignment is due for a person."""
    query = select(Extension.due).where(Extension.person_id == person_id, Extension.assignment_id == assignment_id)
    return session.scalars(query.order_by(Extension.id.desc()).limit(1)).first() or usual


def _expect(reason: str) -> str:
    if not reason.strip():
        raise CourseError("a reason is needed, which the person will read: say it with --reason")
    return reason.strip()


def forget(course: Course, person_called: Callable[[Session], Person], keep_statistics: bool) -> None:
    """Remove a person from gradebook and roster, and all that only this person handed in.

    Args:
        person_called: finds the person.
        keep_statistics: keep verdicts and scores, of nobody any more, under another pseudonym.

    Raises:
        CourseError: the roster cannot be written.
        GradebookError: the gradebook cannot be written.
    """
    with course.gradebook.writing() as session:
        person = person_called(session)
        entry = roster.Entry(person.name, person.email, person.sid)
        name, person_id = person.name, person.id
        words = [name, person.email, person.sid, *(alias.key for alias in person.aliases)]
        alone = _handed_in_alone(session, person_id)
        contents = set(session.scalars(select(models.File.content_sha256).where(models.File.submission_id.in_(alone))))
        for table in (Adjustment, Extension, Excuse):
            session.execute(delete(table).where(table.person_id == person_id))
        session.execute(delete(Appeal).where(Appeal.person_id == person_id, Appeal.answers.is_not(None)))
        session.execute(delete(Appeal).where(Appeal.person_id == person_id))
        session.execute(delete(models.Alias).where(models.Alias.person_id == person_id))
        session.execute(delete(models.Job).where(models.Job.submission_id.in_(alone)))
        session.execute(delete(models.File).where(models.File.submission_id.in_(alone)))
        used = select(models.File.content_sha256)
        session.execute(delete(models.Content).where(models.Content.sha256.in_(contents), models.Content.sha256.not_in(used)))
        session.expire_all()
        _unname(session, person_id, alone, [word.casefold() for word in words if word])
        if keep_statistics:
            _make_nobody(session, person_id, alone)
        else:
            for submission in session.scalars(select(Submission).where(Submission.id.in_(alone))):
                session.delete(submission)
            session.flush()
            session.execute(delete(models.Member).where(models.Member.person_id == person_id))
            session.execute(delete(Person).where(Person.id == person_id))
        row = session.get_one(models.Course, 1)
        if course.roster.exists():
            left = [each for each in roster.read_roster(course.roster) if not _is_meant(each, entry, name)]
            roster.write_roster(course.roster, left)
            row.roster_sha256 = None  # compared once more
    course.gradebook.wiped()


def _unname(session: Session, person_id: int, alone: list[int], words: list[str]) -> None:
    """Take a person's name out of what others handed in together with the person."""
    own = select(models.Member.submission_id).where(models.Member.person_id == person_id)
    for submission in session.scalars(select(Submission).where(Submission.id.in_(own), Submission.id.not_in(alone))):
        for field in ("origin", "filename", "team"):
            if any(word in (getattr(submission, field) or "").casefold() for word in words):
                setattr(submission, field, FORGOTTEN)


def _handed_in_alone(session: Session, person_id: int) -> list[int]:
    own = select(models.Member.submission_id).where(models.Member.person_id == person_id)
    others = select(models.Member.submission_id).where(models.Member.person_id.is_distinct_from(person_id))
    return list(session.scalars(select(Submission.id).where(Submission.id.in_(own), Submission.id.not_in(others))))


def _make_nobody(session: Session, person_id: int, alone: list[int]) -> None:
    person = session.get_one(Person, person_id)
    person.name, person.pseudonym = FORGOTTEN, people.new_pseudonym(session)
    person.email = person.sid = person.group = None
    person.forgotten, person.enrolled = True, False
    nothing = {"name": None, "email": None, "sid": None, "system": FORGOTTEN, "key": FORGOTTEN}
    session.execute(update(models.Member).where(models.Member.person_id == person_id).values(nothing))
    gone = {"origin": FORGOTTEN, "filename": FORGOTTEN, "problem": None, "sha256": FORGOTTEN, "team": None}
    session.execute(update(Submission).where(Submission.id.in_(alone)).values(gone))
    session.execute(update(models.Grading).where(models.Grading.submission_id.in_(alone)).values(result=None))


def _is_meant(entry: roster.Entry, person: roster.Entry, name: str) -> bool:
    if (person.sid and entry.sid) or (person.email and entry.email):
        return (person.sid or None, person.email or None) == (entry.sid, entry.email)
    return entry.name == name
