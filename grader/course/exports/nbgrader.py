"""The table that nbgrader's own exporter writes, for whatever reads that.

Source: nbgrader, `nbgrader/plugins/export.py`.
"""

import csv
import io

from grader.course.exports.formats import Request, Written, cell, points_text, settled
from grader.course.exports.tables import save

__all__ = ["COLUMNS", "write"]

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
)


def write(request: Request) -> Written:
    """Write all marks that are known.

    Raises:
        ExportError: the file cannot be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    left_out = []
    for mark in request.marks:
        person = mark.person
        if not settled(mark, request.now):
            left_out.append(f"{person.name} {'is excused' if mark.state == 'excused' else f'has no mark for {mark.assignment} yet'}")
            continue
        first, _, last = person.name.rpartition(" ")
        row = {
            "assignment": mark.assignment,
            "duedate": f"{mark.due:%Y-%m-%d %H:%M:%S %z}" if mark.due else "",
            "timestamp": f"{mark.submitted_at:%Y-%m-%d %H:%M:%S %z}" if mark.submitted_at else "",
            "student_id": person.keys.get("nbgrader") or person.sid or person.email or person.name,
            "last_name": last,
            "first_name": first,
            "email": person.email or "",
        }
        numbers = {"raw_score": max(0.0, mark.score + mark.adjustment), "late_submission_penalty": mark.penalty}
        numbers |= {"score": mark.points, "max_score": mark.max_points}
        writer.writerow({key: cell(text) for key, text in row.items()} | {key: points_text(number) for key, number in numbers.items()})
    save(request.out, stream.getvalue())
    return Written((request.out,), tuple(left_out))
