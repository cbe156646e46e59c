"""What Canvas packs: `<lastfirst>_[LATE_]<user>_<attachment>_<file>`, or `…_<user>_text.html` where somebody typed a text.

The name is in small letters, last name first, without anything that is no letter. Where students are anonymous there is none, and `anon_…`
in place of the user's number. A file that has the name of an earlier one ends in `-1`, `-2`, ….

Source: Canvas, `lib/content_zipper.rb`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from grader.intake import folders
from grader.intake.archives import File
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, Parcel, most, typed
from grader.intake.words import cleaned

__all__ = ["PRIORITY", "parcels", "recognized"]

PRIORITY = 50
PACKED = re.compile(
    r"(?P<prefix>(?:(?P<name>[^\W_]\w*?)_)?(?:(?P<late>LATE)_)?(?P<user>\d+|anon_[0-9A-Za-z]+))_"
    r"(?:(?P<attachment>\d+)_(?P<file>.+)|(?P<text>text)\.html)",
    re.DOTALL,
)
TYPED = "_text.html"
AGAIN = re.compile(r"(.+)-(\d{1,4})")


@dataclass
class _Handed:
    name: str | None
    origin: str
    late: bool
    files: dict[str, tuple[int, File]] = field(default_factory=dict)  # by name: (number of the attachment, file)
    attempt: int | None = None


def recognized(export: Export) -> str | None:
    """Return why it is from Canvas, None where it is not: most names of files say so."""
    names = [file.parts for file in export.files] + [note.parts for note in export.listing.notes if note.parts[-1].endswith(TYPED)]
    found = most(names, export.listing.folders, _packed)
    return f"{len(found)} of {len(names)} names in it are as {found[0].string}" if found else None


def parcels(export: Export) -> list[Parcel]:
    """Return what each student handed in, and what lies beside as in a folder that no platform packed."""
    handed: dict[str, _Handed] = {}
    others = []
    for file in export.files:
        if match := _packed(file.parts):
            _add(_of(handed, match), match, file)
        else:
            others.append(file)
    for note in export.listing.notes:
        if (match := _packed(note.parts)) and match["text"] and not (student := _of(handed, match)).files:
            student.files[match.string] = 0, typed(note, "text.py")
    found = [_parcel(user, student) for user, student in handed.items()]
    return found + (folders.of_files(export, others) if others else [])


def _packed(parts: Sequence[str]) -> re.Match[str] | None:
    """Return the first of the names in a path that Canvas made."""
    return next((match for part in parts if (match := PACKED.fullmatch(part))), None)


def _of(handed: dict[str, _Handed], match: re.Match[str]) -> _Handed:
    return handed.setdefault(match["user"], _Handed(match["name"], match["prefix"], bool(match["late"])))


def _add(student: _Handed, match: re.Match[str], file: File) -> None:
    """Add a file, or one of an archive. Of those that had one name when they were handed in, the latest counts."""
    given = PurePath(match["file"])
    if again := AGAIN.fullmatch(given.stem):
        given = given.with_name(f"{again[1]}{given.suffix}")
        student.attempt = max(student.attempt or 1, int(again[2]) + 1)
    inside = file.parts[file.parts.index(match.string) + 1 :]
    key, number = "/".join((str(given), *inside)), int(match["attachment"])
    if number >= student.files.get(key, (0, file))[0]:
        student.files[key] = number, replace(file, given=file.name if inside else str(given))


def _parcel(user: str, handed: _Handed) -> Parcel:
    name = cleaned(handed.name) if handed.name else None
    files = tuple(file for _, file in handed.files.values())
    claim = Claim("canvas", user, name)
    return Parcel(f"{name}_{user}" if name else user, (claim,), handed.origin, files, attempt=handed.attempt, late=handed.late)
