"""A course graded in parts, in copies of its folder, such as by the jobs of an array, and put together again."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload, undefer

from grader.course.course import Course, open_course
from grader.course.models import Assignment, Grading, Job, Part, Run, Submission, now
from grader.course.settings import CourseError

__all__ = ["merge"]


def merge(course: Course, folder: Path, by: str) -> int:
    """Take over what was graded in a copy of a course; return how many gradings that were.

    What is graded on the same basis already, and what the grader failed at, stays out: so a copy is merged once however often it is named.

    Raises:
        CourseError: the folder holds no copy of the course, or was graded with another secret seed.
        GradebookError: a gradebook cannot be read, or written, and nothing of the copy is taken over.
    """
    copy = open_course(folder)
    if copy.gradebook.url == course.gradebook.url:
        raise CourseError(f"{folder} has the gradebook that it would be put into: name the folder of a copy")
    with copy.gradebook.reading() as session:
        query = select(Grading).where(~Grading.fault).options(selectinload(Grading.parts), undefer(Grading.result)).order_by(Grading.id)
        theirs, handed = list(session.scalars(query)), _handed_in(session)
    with course.gradebook.writing() as session:
        own = _handed_in(session)
        seeds = {each.seed_sha256 for each in theirs} | set(session.scalars(select(Grading.seed_sha256)))
        known = {
            (number, basis) for number, basis in session.execute(select(Grading.submission_id, Grading.basis_sha256).where(~Grading.fault))
        }
        added = [each for each in theirs if (each.submission_id, each.basis_sha256) not in known]
        strange = next((each.submission_id for each in added if own.get(each.submission_id) != handed[each.submission_id]), None)
        if strange is not None:
            raise CourseError(f"{folder} is no copy of {course.folder}: its submission {strange} is another one; take in first, then copy")
        if added and len(seeds) > 1:
            raise CourseError(f"{folder} and {course.folder} were graded with different secret seeds: give all parts one --seed-file")
        if added:
            run = Run(what=f"merged from {folder.name}", by=by, at=now())
            session.add(run)
            session.flush()
            session.add_all(_copied(each, run.id) for each in added)
            for each in added:
                if job := session.get(Job, each.submission_id):
                    session.delete(job)
    return len(added)


def _handed_in(session: Session) -> dict[int, tuple[str, str]]:
    """Return the content and the assignment of each submission."""
    query = select(Submission.id, Submission.sha256, Assignment.name).join(Assignment, Assignment.id == Submission.assignment_id)
    return {number: (sha256, name) for number, sha256, name in session.execute(query)}


def _copied(grading: Grading, run_id: int) -> Grading:
    """Return a grading as another gradebook keeps it, from now on."""
    fields = {name: getattr(grading, name) for name in _columns(Grading, "id", "run_id", "at")}
    parts = [Part(**{name: getattr(part, name) for name in _columns(Part, "id", "grading_id")}) for part in grading.parts]
    return Grading(run_id=run_id, at=now(), parts=parts, **fields)


def _columns(table: type[Grading] | type[Part], *without: str) -> list[str]:
    return [column.key for column in table.__mapper__.column_attrs if column.key not in without]
