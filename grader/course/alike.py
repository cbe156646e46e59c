"""What is compared by `npfl139 similarity` in a course: of everybody the attempt that counts, and what an older gradebook holds."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from grader.course import models
from grader.course.course import Course
from grader.course.gradebook import Gradebook
from grader.course.marking import Accounts, result_of
from grader.course.models import File, Grading, Submission
from grader.course.people import told_apart
from grader.records import Result
from grader.similarity.compare import Entry
from grader.similarity.reading import without_comments
from npfl139.source import Unreadable, read_unparsed

__all__ = ["entries"]


def entries(
    course: Course, assignments: Collection[str] | None = None, older: Sequence[Gradebook] = (), anonymous: bool = False
) -> list[Entry]:
    """Return what counts for each assignment, once where people handed in together; what is no text, the grader tells its author.

    Args:
        assignments: only these.
        older: gradebooks of earlier years, of which everything is compared that was handed in for the same topics.
        anonymous: pseudonyms in place of names, and no comments, which may hold names.

    Raises:
        CourseError: there is no such assignment.
        GradebookError: a gradebook cannot be read.
    """
    names = list(assignments or course.settings.assignments)
    topics = {course.setting(name).topic for name in names}
    found = []
    with course.gradebook.reading() as session:
        accounts = Accounts(course, session)
        called = {each.id: each.pseudonym for each in accounts.persons} if anonymous else told_apart(accounts.persons)
        for name in names:
            shared: dict[int, list[str]] = {}
            for person in accounts.expected():
                counting = accounts.of(person, name).counting
                if counting is not None:
                    shared.setdefault(counting.submission.id, []).append(called[person.id])
            for number, people in shared.items():
                found += _entry(session, number, " + ".join(people), course.setting(name).topic, accounts)
    for gradebook in older:
        with gradebook.reading() as session:
            term = session.get_one(models.Course, 1).term
            joined = select(Submission, models.Assignment.topic).join(models.Assignment).options(selectinload(Submission.members))
            for submission, topic in session.execute(joined.where(models.Assignment.topic.in_(topics))).all():
                names = [member.name or member.key for member in submission.members]
                people = [f"submission {submission.id}"] if anonymous else names
                found += _entry(session, submission.id, f"{' + '.join(people)}, {term}", topic)
    return [replace(each, source=without_comments(each.source)) for each in found] if anonymous else found


def _entry(session: Session, number: int, who: str, topic: str, accounts: Accounts | None = None) -> list[Entry]:
    """Return a submission's program, nothing where it has none; with its mistakes, where the accounts of this year are given."""
    file = session.scalars(select(File).where(File.submission_id == number).order_by(File.id)).first()  # several hold the same program
    if file is None:
        return []
    try:
        source = read_unparsed(session.get_one(models.Content, file.content_sha256).content, file.name).text
    except Unreadable:
        return []
    result = _result(session, session.get_one(Submission, number), accounts) if accounts else None
    return [Entry(who, topic, source, result, earlier=accounts is None)]


def _result(session: Session, submission: Submission, accounts: Accounts) -> Result | None:
    grading = accounts.last_grading(submission)
    text = session.scalars(select(Grading.result).where(Grading.id == grading.id)).one() if grading else None
    return result_of(text) if text else None
