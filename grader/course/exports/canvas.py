"""Canvas's gradebook, filled in: the columns of the assignments, of which it reads back those that changed.

Source: Canvas, `lib/gradebook_exporter.rb` and `lib/gradebook_importer.rb`.
"""

import re

from grader.course.exports.formats import ExportError, Request, Written, one_assignment, points_text, settled
from grader.course.exports.tables import Rule, Table, matched, name_words
from grader.course.marks import Mark
from npfl139.catalogue import topic_of

__all__ = ["write"]

STUDENT, NUMBER, SID, LOGIN, SECTION = "Student", "ID", "SIS User ID", "SIS Login ID", "Section"
POSSIBLE, EXCUSED = "Points Possible", "EX"
NUMBERED = re.compile(r"(?P<title>.+?) \((?P<number>\d+)\)")


def write(request: Request) -> Written:
    """Fill the gradebook `request.given` and write it to `request.out`.

    Raises:
        ExportError: there is no such gradebook, it has no column for an assignment or another maximum, or it cannot be written.
    """
    if request.given is None:
        raise ExportError("Canvas takes back the gradebook that it gave: export it, and name that with --into")
    if request.column is not None:
        one_assignment(request.marks, "a column of Canvas's gradebook")
    table = Table.read(request.given)
    if NUMBER not in table.columns or SECTION not in table.columns:
        raise ExportError(f"{request.given} has no columns {NUMBER} and {SECTION}: export the gradebook from Canvas in English")
    records = table.records()
    students = [number for number, record in enumerate(records) if record[NUMBER].strip()]
    possible = next((record for record in records if POSSIBLE in record[table.columns[0]]), {})
    left_out: dict[str, None] = {}
    for assignment in dict.fromkeys(mark.assignment for mark in request.marks):
        own = [mark for mark in request.marks if mark.assignment == assignment]
        marks = [mark for mark in own if mark.state == "excused" or settled(mark, request.now)]
        if not marks:
            continue
        column = request.column or _column(table, marks[0], str(request.given))
        if column not in table.columns:
            raise ExportError(f"{request.given} has no column {column!r}: name one of {_listed(table)}")
        _refuse_another_maximum(possible.get(column, ""), marks[0], str(request.given))
        rows, unmatched = matched(marks, [records[number] for number in students], RULES)
        left_out |= dict.fromkeys(unmatched)
        for row, mark in rows.items():
            table.fill(students[row], column, EXCUSED if mark.state == "excused" else points_text(mark.points))
    table.write(request.out)
    return Written((request.out,), tuple(left_out))


def _column(table: Table, mark: Mark, where: str) -> str:
    """Return the column whose title is that of the assignment, or its name."""
    titles = {column: match["title"] for column in table.columns if (match := NUMBERED.fullmatch(column))}
    found = [column for column, title in titles.items() if title.casefold() in (mark.title.casefold(), mark.assignment.casefold())]
    found = found or [column for column, title in titles.items() if topic_of(title, [mark.assignment])[0]]
    if len(found) != 1:
        many = f"{len(found)} columns" if found else "no column"
        raise ExportError(f"{where} has {many} for {mark.assignment}: name one with --column, of {_listed(table)}")
    return found[0]


def _listed(table: Table) -> str:
    return ", ".join(column for column in table.columns if NUMBERED.fullmatch(column)) or "those that an assignment has, but there is none"


def _refuse_another_maximum(text: str, mark: Mark, where: str) -> None:
    if "read only" in text:
        raise ExportError(f"{where}: the column for {mark.assignment} is read only in Canvas: name another one with --column")
    try:
        maximum = float(text.replace(",", "."))
    except ValueError:
        return
    if abs(maximum - mark.max_points) > 0.005:
        raise ExportError(
            f"{where} is for at most {points_text(maximum)} points, and {mark.assignment} has {points_text(mark.max_points)}: "
            "set these points in Canvas, and export the gradebook again"
        )


RULES: tuple[Rule, ...] = (
    (lambda mark: mark.person.keys.get("canvas"), lambda record: record[NUMBER].strip() or None),
    (lambda mark: mark.person.sid, lambda record: record.get(SID, "").strip() or None),
    (lambda mark: (mark.person.email or "").casefold() or None, lambda record: record.get(LOGIN, "").strip().casefold() or None),
    (lambda mark: name_words(mark.person.name), lambda record: name_words(record.get(STUDENT, ""))),
)
