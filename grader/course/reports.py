"""The reports of a course: made from what counts in its gradebook, as often as one likes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from grader.classroom.reports import Written, write_reports
from grader.classroom.store import Store, write_atomically
from grader.course.course import Course
from grader.course.exports.places import folders
from grader.course.marking import marks_of, totals
from grader.course.marks import Mark
from grader.course.models import now
from grader.course.rules import lateness_text
from grader.show.findings import number
from grader.show.report import Marks

__all__ = ["FOLDER", "write_course"]

FOLDER = "reports"  # in that of the course


def write_course(course: Course, out: Path, anonymous: bool = False) -> Written:
    """Write the results that count, and reports of them, into a folder that holds nothing else; what of it is old goes.

    Raises:
        GradebookError: the gradebook cannot be read.
        StoreError: the folder cannot be written.
    """
    marks = marks_of(course, results=True, anonymous=anonymous)
    names, store, written = folders(marks), Store(out), set()
    with store.writing():
        for mark in marks:
            if mark.result is not None:
                path = store.path(names[mark.person.pseudonym], mark.result.topic)
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
        title = f"{course.settings.title}, {course.settings.term}"
        return write_reports(store, course=title, given=due, marks=_shown(course, marks, names))


def _shown(course: Course, marks: Sequence[Mark], names: Mapping[str, str]) -> Marks:
    """Return the marks as the page of the class shows them."""
    by_place = {(names[mark.person.pseudonym], course.setting(mark.assignment).topic): mark for mark in marks}
    return Marks(
        {place: (mark.points, _how(mark)) for place, mark in by_place.items()},
        {names[each.person.pseudonym]: (each.points, each.max_points) for each in totals(marks, now())},
        {place for place, mark in by_place.items() if mark.state == "waiting" and mark.result is None},
    )


def _how(mark: Mark) -> str:
    """Return how a mark differs from what grading gave, "" where it does not."""
    told = [f"{number(mark.score)} graded"] if mark.result else []
    told += [f"{'+' if mark.adjustment > 0 else '−'} {number(abs(mark.adjustment))} adjusted"] if mark.adjustment else []
    told += [f"− {number(mark.penalty)} for being {lateness_text(mark.late)}"] if mark.penalty else []
    if mark.state == "excused":
        return "excused"
    if mark.result and mark.score != mark.result.score:
        return "too late to count"
    if mark.state == "waiting" and (mark.result or mark.adjustment):
        return " ".join([*told, "and not all graded yet"])
    return " ".join(told) if mark.adjustment or mark.penalty else ""
