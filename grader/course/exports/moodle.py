"""Moodle's grading worksheet, filled in: Grade, and Feedback comments where it has them. Moodle reads its rows by Identifier.

Source: Moodle, `mod/assign/feedback/offline/importgradeslib.php`.
"""

import html
import re

from grader.course.exports.formats import ExportError, Request, Written, cell, comment, one_assignment, points_text, settled
from grader.course.exports.tables import Rule, Table, matched, name_words
from grader.course.marks import Mark
from grader.intake.moodle import PACKED
from npfl139.text import one_line

__all__ = ["write"]

IDENTIFIER, NAME, MAIL, SID = "Identifier", "Full name", "Email address", "ID number"
GRADE, MAXIMUM, CHANGEABLE, COMMENTS = "Grade", "Maximum Grade", "Grade can be changed", "Feedback comments"


def write(request: Request) -> Written:
    """Fill the worksheet `request.given` and write it to `request.out`.

    Raises:
        ExportError: there is no such worksheet, it is for another maximum, or it cannot be written.
    """
    one_assignment(request.marks, "a grading worksheet of Moodle")
    if request.given is None:
        raise ExportError("Moodle takes back the grading worksheet that it gave: name that with --into")
    table = Table.read(request.given)
    lacking = [name for name in (IDENTIFIER, GRADE) if name not in table.columns]
    if lacking:
        raise ExportError(
            f"{request.given} has no column {' and none '.join(lacking)}, but {one_line(', '.join(table.columns))}: if these are Moodle's "
            "headings in another language, choose English there, and download the grading worksheet again"
        )
    records = table.records()
    marks = [mark for mark in request.marks if settled(mark, request.now)]
    rows, left_out = matched(marks, records, RULES)
    for row, mark in rows.items():
        record = records[row]
        _refuse_another_maximum(record.get(MAXIMUM, ""), mark, str(request.given))
        if record.get(CHANGEABLE, "").strip() == "No":
            left_out.append(f"{mark.person.name}: Moodle says that this grade cannot be changed")
            continue
        table.fill(row, GRADE, points_text(mark.points))
        if COMMENTS in table.columns:
            table.fill(row, COMMENTS, cell(html.escape("; ".join(comment(mark)), quote=False)))
    table.write(request.out)
    return Written((request.out,), tuple(left_out))


def _refuse_another_maximum(text: str, mark: Mark, where: str) -> None:
    try:
        maximum = float(text.replace(",", "."))
    except ValueError:  # a scale, or nothing
        return
    if abs(maximum - mark.max_points) > 0.005:
        raise ExportError(
            f"{where} is for at most {points_text(maximum)} points, and {mark.assignment} has {points_text(mark.max_points)}: "
            "set that maximum in Moodle, and download the worksheet again"
        )


def _number(mark: Mark) -> str | None:
    """Return the participant's number in this assignment, which the folder in its export tells."""
    match = PACKED.match(mark.origin or "")
    return match["number"] if match else mark.person.keys.get("moodle")


def _digits(record: dict[str, str]) -> str | None:
    return re.sub(r"\D", "", record[IDENTIFIER]) or None


def _number_and_name(mark: Mark) -> str | None:
    number, name = _number(mark), name_words(mark.person.name)
    return f"{number} {name}" if number and name else None


def _digits_and_name(record: dict[str, str]) -> str | None:
    number, name = _digits(record), name_words(record.get(NAME, ""))
    return f"{number} {name}" if number and name else None


# A number alone is that of a group where groups handed in, so it counts only where Moodle tells no names.
RULES: tuple[Rule, ...] = (
    (_number_and_name, _digits_and_name),
    (lambda mark: (mark.person.email or "").casefold() or None, lambda record: record.get(MAIL, "").strip().casefold() or None),
    (lambda mark: mark.person.sid, lambda record: record.get(SID, "").strip() or None),
    (_number, lambda record: None if record.get(NAME) else _digits(record)),
    (lambda mark: name_words(mark.person.name), lambda record: name_words(record.get(NAME, ""))),
)
