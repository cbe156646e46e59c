"""The reports of a course: made from what counts in its gradebook, as often as one likes."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from grader.classroom.intake import as_folder
from grader.classroom.reports import Written, write_reports
from grader.classroom.store import Store, write_atomically
from grader.course.course import Course
from grader.course.marking import marks_of
from grader.course.marks import Mark
from grader.course.models import now

__all__ = ["FOLDER", "write_course"]

FOLDER = "reports"  # in that of the course


def write_course(course: Course, out: Path, anonymous: bool = False) -> Written:
    """Write the results that count, and reports of them, into a folder that holds nothing else; what of it is old goes.

    Raises:
        GradebookError: the gradebook cannot be read.
        StoreError: the folder cannot be written.
    """
    marks = marks_of(course, results=True, anonymous=anonymous)
    folders, store, written = _folders(marks), Store(out), set()
    with store.writing():
        for mark in marks:
            if mark.result is not None:
                path = store.path(folders[mark.person.pseudonym], mark.result.topic)
                result = replace(mark.result, student=path.parent.name)
                write_atomically(path, json.dumps(msgspec.to_builtins(result), indent=1, allow_nan=False) + "\n")
                written.add(path)
        for path in out.glob("[!.]*/[!.]*.json"):
            if path not in written:
                path.unlink()
                (path.parent / "report.html").unlink(missing_ok=True)
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
        due = {course.setting(mark.assignment).topic: mark.max_points for mark in marks if mark.due is None or mark.due <= now()}
        return write_reports(store, course=f"{course.settings.title}, {course.settings.term}", given=due)


def _folders(marks: Sequence[Mark]) -> dict[str, str]:
    """Return what the folder of each person is called; that of a namesake tells the student number or the pseudonym too."""
    names = {mark.person.pseudonym: as_folder(mark.person.name) for mark in marks}
    count = Counter(name.casefold() for name in names.values())
    more = {mark.person.pseudonym: mark.person.sid or mark.person.pseudonym for mark in marks}
    return {pseudonym: name if count[name.casefold()] == 1 else f"{name} {more[pseudonym]}" for pseudonym, name in names.items()}
