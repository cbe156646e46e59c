"""Marks where there is no course: of a folder of results, in which a person is the name of a folder."""

import hashlib
import hmac
import re
from pathlib import Path

from grader.classroom.store import SEED, Store
from grader.course.exports.formats import ExportError
from grader.course.marks import Mark, Person
from grader.records import Result
from npfl139.catalogue import CatalogueError, assignments

__all__ = ["mark_of", "plain_marks"]

NUMBERED = re.compile(r"(?P<name>.+)_(?P<number>\d+)")  # as intake calls those whom Moodle and Canvas know by a number


def plain_marks(folder: Path) -> tuple[list[Mark], list[str]]:
    """Return a mark for each result in a folder, and sentences on what could not be read.

    Pseudonyms follow from the folder's secret seed: the same in each export, and nobody else can tell whose they are.

    Raises:
        ExportError: there is no result.
    """
    results, damaged = Store(folder).results()
    if not results:
        raise ExportError(f"there is no result in {folder}: npfl139 grade writes some, and a course has a course.toml")
    try:
        secret = (folder / SEED).read_bytes()
    except OSError:
        secret = str(folder.resolve()).encode()
    return [mark_of(result, secret) for result in results], [f"{path} is damaged: grade it again" for path in damaged]


def mark_of(result: Result, secret: bytes = b"") -> Mark:
    """Return what a result is worth by itself: nothing late, nothing adjusted."""
    pseudonym = f"student {hmac.digest(secret, result.student.encode(), hashlib.sha256).hex()[:10]}"
    match = NUMBERED.fullmatch(result.student)
    name, keys = (match["name"], dict.fromkeys(("moodle", "canvas"), match["number"])) if match else (result.student, {})
    return Mark(
        person=Person(name, pseudonym, keys={"nbgrader": result.student} | keys),
        assignment=result.topic,
        title=_title(result.topic),
        state="fault" if result.is_fault else "graded",
        points=result.score,
        max_points=result.max_score,
        score=result.score,
        attempts=1,
        origin=f"{result.student}_assignsubmission_file_" if match else None,
        result=result,
    )


def _title(topic: str) -> str:
    try:
        known = assignments()
    except CatalogueError:
        return topic
    return known[topic].title if topic in known else topic
