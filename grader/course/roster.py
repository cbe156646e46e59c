"""Who takes part: `roster.csv`, as a person writes it or as a platform exports its list of participants."""

import csv
import difflib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from grader.course.settings import CourseError
from grader.intake.words import cleaned, separator
from grader.records import Record
from npfl139.files import write_atomically

__all__ = ["FILE", "SYSTEMS", "Entry", "read_roster", "write_roster"]

FILE = "roster.csv"
SYSTEMS = ("moodle", "canvas", "gradescope", "github", "nbgrader", "folder")
FIELDS = ("name", "email", "sid", "group", *SYSTEMS)
PARTS = ("first", "last")  # of a name that comes in two columns
SYNONYMS = {
    "name": ("full name", "fullname", "student", "student name"),
    "first": ("first name", "firstname", "given name"),
    "last": ("last name", "lastname", "surname", "family name"),
    "email": ("e-mail", "email address", "mail", "e-mail address"),
    "sid": ("id number", "idnumber", "student id", "student number", "sis user id", "roster_identifier"),
    "group": ("groups", "section", "sections", "team"),
    "canvas": ("id", "sis login id"),
    "github": ("github_username",),
}
MEANT = {synonym: field for field, synonyms in SYNONYMS.items() for synonym in (field, *synonyms)} | {field: field for field in FIELDS}
LEFT_OUT = {  # what platforms' lists say besides
    "github_id",
    "group_name",
    "role",
    "roles",
    "last access to course",
    "status",
    "root account",
    "title",
    "institution",
    "department",
}


class Entry(Record, frozen=True):
    """Somebody, as the roster says."""

    name: str
    email: str | None = None
    sid: str | None = None
    group: str | None = None
    keys: dict[str, str] = {}  # by system


def read_roster(path: Path) -> list[Entry]:
    """Return who is in a roster, in its order.

    Its first line names the columns: name (or first name and last name), email, sid, group, and what a platform calls the person,
    under the platform's name. The headings of the lists that platforms export are known too, and separators are commas, semicolons
    or tabs.

    Raises:
        CourseError: it cannot be read, a column is unknown, or two lines are for one person.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not in UTF-8: save it once more as CSV UTF-8") from error
    lines = [line for line in csv.reader(io.StringIO(text), delimiter=separator(text)) if any(cell.strip() for cell in line)]
    if not lines:
        raise CourseError(f"{path} is empty: its first line names the columns, such as name,email,sid")
    columns = [_column(path, heading) for heading in lines[0]]
    twice = [name for name, count in Counter(filter(None, columns)).items() if count > 1]
    if twice:
        raise CourseError(f"{path} has two columns for {twice[0]}: delete one")
    if "name" not in columns and not set(PARTS) <= set(columns):
        raise CourseError(f"{path} has no column name: its first line must name the columns, such as name,email,sid")
    entries = [_entry(path, number, dict(zip(columns, line, strict=False))) for number, line in enumerate(lines[1:], start=2)]
    _expect_different(path, entries)
    return entries


def _column(path: Path, heading: str) -> str | None:
    """Return the field that a column is for, None where its platform's list has more than a course needs."""
    name = cleaned(heading).casefold()
    if name in MEANT:
        return MEANT[name]
    if name in LEFT_OUT or not name:
        return None
    near = difflib.get_close_matches(name, MEANT, n=1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    raise CourseError(f"{path} has a column {heading!r}, which is unknown{guess}: there are {', '.join(FIELDS)}; rename or delete it")


def _entry(path: Path, number: int, cells: dict[str | None, str]) -> Entry:
    told = {name: cleaned(cell) for name, cell in cells.items() if name and cleaned(cell)}
    name = told.get("name") or " ".join(told[part] for part in PARTS if part in told)
    if not name:
        raise CourseError(f"line {number} of {path} has no name: write one, or delete the line")
    return Entry(name, told.get("email"), told.get("sid"), told.get("group"), {key: told[key] for key in SYSTEMS if key in told})


def _expect_different(path: Path, entries: Sequence[Entry]) -> None:
    for what, values in (
        ("student number", [entry.sid for entry in entries]),
        ("e-mail address", [entry.email and entry.email.casefold() for entry in entries]),
        *((f"key for {system}", [entry.keys.get(system) for entry in entries]) for system in SYSTEMS),
    ):
        twice = [value for value, count in Counter(filter(None, values)).items() if count > 1]
        if twice:
            raise CourseError(f"{path} has two people with the {what} {twice[0]}: correct one of them")
    anonymous = Counter(entry.name for entry in entries if not (entry.email or entry.sid or entry.keys))
    if twice := [name for name, count in anonymous.items() if count > 1]:
        raise CourseError(f"{path} has two people called {twice[0]} that nothing else tells apart: give them a sid or an e-mail address")


def write_roster(path: Path, entries: Iterable[Entry]) -> None:
    """Write a roster with the columns that are needed.

    Raises:
        CourseError: it cannot be written.
    """
    rows = [{"name": each.name, "email": each.email, "sid": each.sid, "group": each.group, **each.keys} for each in entries]
    fields = [field for field in FIELDS if field in ("name", "email", "sid", "group") or any(field in row for row in rows)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fields, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        write_atomically(path, stream.getvalue())
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {error.strerror}") from error
