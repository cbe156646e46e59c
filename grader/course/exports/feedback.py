"""The reports of all persons in one archive, each in the folder that the platform gave the submission: Moodle takes them back so."""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from grader.classroom.reports import known_band
from grader.course.exports.formats import Written
from grader.course.exports.places import places
from grader.course.exports.tables import save
from grader.course.marks import Mark
from grader.show.report import student_page
from npfl139.text import printable

__all__ = ["write_feedback"]

REPORT = "report.html"
WHEN = (1980, 1, 1, 0, 0, 0)  # so that the same reports are the same archive


def write_feedback(marks: Sequence[Mark], out: Path) -> Written:
    """Write the archive; who has no result has no report in it, which is told of those who handed in something.

    Raises:
        ExportError: it cannot be written.
    """
    found = [mark for mark in marks if mark.result is not None]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        taken: set[str] = set()
        for mark, place in zip(found, places(found), strict=True):
            folder = _same(mark.origin) if mark.origin else place
            if mark.result and folder not in taken:  # the members of a team have one report
                taken.add(folder)
                archive.writestr(zipfile.ZipInfo(f"{folder}/{REPORT}", WHEN), student_page([mark.result], known_band), zipfile.ZIP_DEFLATED)
    save(out, stream.getvalue())
    without = [each for each in marks if each.result is None and each.state != "missing"]  # whoever handed in nothing misses nothing
    return Written((out,), tuple(f"{each.person.name} has no report for {each.assignment}" for each in without))


def _same(origin: str) -> str:
    """Return the folder of the export, as it was called, unless the name would lead out of the archive."""
    parts = [printable(part, "_") for part in re.split(r"[/\\]", origin)]
    return "/".join(part for part in parts if part not in ("", ".", ".."))
