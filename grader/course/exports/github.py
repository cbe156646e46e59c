"""Annotations of GitHub for each mark: `<out>/<person>/<assignment>.json` as its Checks API takes them, and `<assignment>.txt` as commands
that a step of a workflow prints.

GitHub shows ten errors of a step, and takes fifty annotations at a time: so there is one for each exercise, the first that failed first.

Source: GitHub, "Workflow commands for GitHub Actions" and "REST API endpoints for check runs".
"""

import json
import re
from collections.abc import Iterator

from grader.course.exports.formats import Request, Written, points_text, reasons
from grader.course.exports.places import places
from grader.course.exports.tables import save
from grader.course.marks import Mark
from grader.records import Result
from grader.show.groups import grouped
from npfl139.text import one_line, shortened

__all__ = ["write"]

LINE = re.compile(r"\bin line (\d{1,6})\b")  # of a program; of a notebook the cell is told first
MAX_ANNOTATIONS = 50
MAX_TITLE, MAX_MESSAGE = 255, 4000


def write(request: Request) -> Written:
    """Write the annotations of all who have a result.

    Raises:
        ExportError: a file cannot be written.
    """
    found = [mark for mark in request.marks if mark.result is not None]
    paths = []
    for mark, place in zip(found, places(found), strict=True):
        annotations = list(_annotations(mark))[:MAX_ANNOTATIONS]
        for suffix, text in (("json", json.dumps(annotations, indent=1, ensure_ascii=False) + "\n"), ("txt", _commands(annotations))):
            paths.append(request.out / f"{place}.{suffix}")
            save(paths[-1], text)
    without = [f"{mark.person.name} has no result for {mark.assignment}" for mark in request.marks if mark.result is None]
    return Written(tuple(paths), tuple(without))


def _annotations(mark: Mark) -> Iterator[dict[str, object]]:
    assert mark.result is not None
    path = f"{mark.result.topic}.py"
    total = f"{mark.assignment}: {points_text(mark.points)} of {points_text(mark.max_points)} points"
    if mark.result.problem:
        yield _annotation(path, _line(mark.result.problem), "failure", total, mark.result.problem)
        return
    for where, told, is_fault in _failed(mark.result):
        yield _annotation(path, _line(" ".join(told)), "warning" if is_fault else "failure", where, "\n".join(told))
    yield _annotation(path, None, "notice", total, "; ".join(map(one_line, mark.comments)) or "graded")


def _failed(result: Result) -> Iterator[tuple[str, list[str], bool]]:
    """Yield each exercise, or training check, in which something failed, with the reasons, and whether the grader itself did."""
    for where, parts in grouped(result.failures, lambda part: part.where).items():
        told = dict.fromkeys(reason for part in parts for reason in reasons(part))
        yield where, list(told), all(part.is_fault for part in parts)


def _annotation(path: str, line: int | None, level: str, title: str, message: str) -> dict[str, object]:
    return {
        "path": path,
        "start_line": line or 1,
        "end_line": line or 1,
        "annotation_level": level,
        "title": shortened(one_line(title), MAX_TITLE - 1),
        "message": shortened(message, MAX_MESSAGE),
    }


def _line(text: str) -> int | None:
    match = LINE.search(text)
    return max(1, int(match[1])) if match else None


def _commands(annotations: list[dict[str, object]]) -> str:
    levels = {"failure": "error"}
    lines = []
    for each in annotations:
        level = levels.get(str(each["annotation_level"]), each["annotation_level"])
        properties = f"file={_property(each['path'])},line={each['start_line']},title={_property(each['title'])}"
        lines.append(f"::{level} {properties}::{_escaped(each['message'])}\n")
    return "".join(lines)


def _escaped(text: object) -> str:
    return str(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: object) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
