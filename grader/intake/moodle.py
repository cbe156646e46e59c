"""What Moodle's assignment packs: a folder, or a prefix of files, `<name>_<number>_assignsubmission_<kind>_` for each participant or group.

The number is that of the participant in this assignment only. In a blind assignment the name is "Participant" for everybody. What
people typed in place of a file is `onlinetext.html`. A name alone does not tell a group from a person; the grading worksheet does, where
it lies among the folders, as well as e-mail addresses and times. Its headings are in the language of whoever downloaded it: in another than
English its columns are known by their cells, and its times are not read. What is not understood of it is told.

Source: Moodle, `mod/assign/classes/downloader.php` and `mod/assign/gradingtable.php`.
"""

import csv
import datetime
import io
import itertools
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace

from grader.intake import folders
from grader.intake.archives import File
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, Parcel, most, typed
from grader.intake.words import cleaned, separator
from npfl139.source import Unreadable

__all__ = ["PRIORITY", "parcels", "recognized"]

PRIORITY = 40
PACKED = re.compile(r"(?P<student>(?P<name>.+?)(?:_(?P<number>\d+))?)_assignsubmission_(?P<kind>[a-z]+)_?(?P<rest>.*)", re.DOTALL)
TYPED = "onlinetext.html"
MAX_WORKSHEET = 16 * 2**20
TIMES = ("%A, %d %B %Y, %I:%M %p", "%A, %d %B %Y, %H:%M")  # as an English Moodle writes them
HEADINGS = {
    "identifier": "Identifier",
    "name": "Full name",
    "email": "Email address",
    "sid": "ID number",
    "group": "Group",
    "submitted": "Last modified (submission)",
}
IDENTIFIER = re.compile(r"\D+\d+")  # "Participant 7", in any language
MAIL = re.compile(r"[^@\s]+@[^@\s]+")
IN_ENGLISH = "choose English in Moodle, and download it once more"


@dataclass
class _Handed:
    """What one participant or group handed in."""

    name: str
    number: str | None  # None for those who are in no group
    origin: str
    files: list[File] = field(default_factory=list)


def recognized(export: Export) -> str | None:
    """Return why it is from Moodle, None where it is not: most names of files or folders say so."""
    names = [file.parts for file in export.files] + [note.parts for note in export.listing.notes if note.parts[-1] == TYPED]
    found = {match["student"] for match in most(names or export.listing.folders, export.listing.folders, _packed)}
    return f"{len(found)} names in it are as {min(found)}_assignsubmission_…" if found else None


def parcels(export: Export) -> list[Parcel]:
    """Return what each participant or group handed in, and what lies beside as in a folder that no platform packed."""
    handed: dict[str, _Handed] = {}
    for parts in export.listing.folders:
        _handed(handed, parts)
    others = []
    for file in export.files:
        if found := _handed(handed, file.parts):
            found.files.append(replace(file, given=_own_name(file.parts)))
        else:
            others.append(file)
    for note in export.listing.notes:
        if (found := _handed(handed, note.parts)) and _own_name(note.parts) == TYPED and not found.files:
            found.files.append(typed(note, "onlinetext.py"))
    rows = list(_worksheets(export, {cleaned(each.name) for each in handed.values()}))
    blind = len(handed) > 1 and len({each.name for each in handed.values()}) == 1
    return [_parcel(each, blind, rows, export) for each in handed.values()] + (folders.of_files(export, others) if others else [])


def _packed(parts: Sequence[str]) -> re.Match[str] | None:
    """Return the first of the names in a path that Moodle made; what students packed themselves comes after theirs."""
    return next((match for part in parts if "_assignsubmission_" in part and (match := PACKED.fullmatch(part))), None)


def _handed(handed: dict[str, _Handed], parts: Sequence[str]) -> _Handed | None:
    match = _packed(parts)
    if match is None:
        return None
    around = parts[: parts.index(match.string)]
    key = "/".join((*around, cleaned(match["student"])))
    return handed.setdefault(key, _Handed(match["name"], match["number"], match.string.removesuffix(match["rest"])))


def _own_name(parts: Sequence[str]) -> str:
    match = PACKED.fullmatch(parts[-1])
    return match["rest"] if match else parts[-1]


def _parcel(handed: _Handed, blind: bool, rows: Sequence[dict[str, str]], export: Export) -> Parcel:
    name, number = cleaned(handed.name), handed.number
    own = [row for row in rows if number is not None and re.fullmatch(rf"\D*{number}", row["identifier"])]
    group = [row for row in rows if cleaned(row["group"]) == name]
    if group and not (own and cleaned(own[0]["name"]) == name):
        members = tuple(_claim(row) for row in group)
    elif number is None:
        members = (Claim("moodle", name, None),)
    else:
        members = (_claim(own[0], number) if own else Claim("moodle", number, None if blind else name),)
    told = (own or group or [{"submitted": ""}])[0]
    time = _time(told["submitted"], export.deadlines)
    return Parcel(
        student=f"{handed.name}_{number}" if number else handed.name,
        members=members,
        origin=handed.origin,
        files=tuple(handed.files),
        team=name if group or number is None else None,
        submitted_at=time,
        time_source="platform" if time else "unknown",
    )


def _claim(row: dict[str, str], number: str | None = None) -> Claim:
    number = number or re.sub(r"\D", "", row["identifier"])
    return Claim("moodle", number, cleaned(row["name"]) or None, row["email"].strip() or None, row["sid"].strip() or None)


def _worksheets(export: Export, packed: Set[str]) -> Iterator[dict[str, str]]:
    """Yield the participants of the grading worksheets, as far as they can be read; tell what cannot.

    Args:
        packed: the names of those who handed in.
    """
    for note in export.listing.notes:
        if not note.parts[-1].lower().endswith(".csv") or _packed(note.parts) is not None:
            continue
        where = export.path.joinpath(*note.parts)
        try:
            text = note.read(MAX_WORKSHEET).decode("utf-8-sig", errors="replace")
            headings, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator(text))
        except (Unreadable, ValueError, csv.Error) as error:  # nobody needs it to grade
            export.notice(f"{where} {error if isinstance(error, Unreadable) else 'is no table'}: nothing is taken from it")
            continue
        english = HEADINGS["identifier"] in headings
        places = {key: headings.index(name) for key, name in HEADINGS.items() if name in headings} if english else _by_cells(lines, packed)
        rows = [{key: line[places[key]] if places.get(key, len(line)) < len(line) else "" for key in HEADINGS} for line in lines]
        unread = [row["submitted"] for row in rows if row["submitted"].strip() not in ("", "-") and _time(row["submitted"], ()) is None]
        if not places:
            export.notice(f"{where} is not a grading worksheet, or cannot be read as one: nothing is taken from it; if it is, {IN_ENGLISH}")
        elif not english:
            words = {"name": "names", "email": "addresses", "group": "groups"}
            known = " and ".join(word for key, word in words.items() if key in places) or "numbers"
            export.notice(f"{where} is in another language: {known} are taken from it, times are not; if they matter, {IN_ENGLISH}")
        elif unread:
            export.notice(f"{where}: {len(unread)} times, such as {unread[0]!r}, are written as none is read; if they matter, {IN_ENGLISH}")
        yield from rows if places else ()


def _by_cells(lines: Sequence[Sequence[str]], packed: Set[str]) -> dict[str, int]:
    """Return which column of a worksheet holds what, whatever its headings; nothing where it is no worksheet.

    First is always the participant, then, but in a blind assignment, the name. The group is what others handed in under.
    """
    columns = [[cell.strip() for cell in cells] for cells in itertools.zip_longest(*filter(any, lines), fillvalue="")]
    if not columns or not all(map(IDENTIFIER.fullmatch, columns[0])):
        return {}
    mail = next((place for place, cells in enumerate(columns) if any(cells) and all(map(MAIL.fullmatch, filter(None, cells)))), None)
    found = {"identifier": 0} if mail is None else {"identifier": 0, "name": 1, "email": mail}
    for place, cells in enumerate(columns[1:], start=1):
        if not packed.isdisjoint(map(cleaned, cells)):
            found.setdefault("name" if place == 1 else "group", place)
    return found


def _time(text: str, deadlines: Sequence[datetime.datetime]) -> datetime.datetime | None:
    """Return the time that a worksheet tells in the zone of whoever downloaded it, which is taken for that of the deadlines, or ours."""
    for form in TIMES:
        try:
            time = datetime.datetime.strptime(text.strip(), form)
        except ValueError:
            continue
        return time.replace(tzinfo=deadlines[0].tzinfo) if deadlines else time.astimezone()
    return None
