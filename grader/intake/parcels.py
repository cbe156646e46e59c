"""What the adapters of the platforms take from an export, and give: the export as it lies there, and what each person handed in."""

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from grader.intake.archives import File, Listing, Note, files_in, listing, refused
from grader.intake.contents import Content
from grader.intake.deliveries import Claim, TimeSource
from grader.intake.words import text_of
from npfl139.source import Unreadable

__all__ = ["Export", "NoSubmission", "Parcel", "lies_alone", "most", "shared", "typed"]

MAX_TYPED = 2**20


Read = TypeVar("Read")


class NoSubmission(ValueError):
    """What the instructor pointed at holds no submission. The message is one sentence."""


@dataclass(frozen=True)
class Export:
    """A file, folder or zip archive that an instructor points at. What is in it was written by others."""

    path: Path
    topics: tuple[str, ...]  # the names of all topics, by which files and folders are recognized
    asked: str | None = None  # the only topic that is to be graded, where the instructor says so
    deadlines: tuple[datetime.datetime, ...] = ()  # what counts until each, where the platform keeps everything
    notice: Callable[[str], object] = lambda sentence: None  # told what a platform says and nobody understands

    @cached_property
    def listing(self) -> Listing:
        return _readable(self.path, listing)

    @cached_property
    def files(self) -> tuple[File, ...]:
        """The programs and notebooks in it, read."""
        return _readable(self.path, lambda path: tuple(files_in(path, self.topics)))

    def inside(self) -> "Export | None":
        """Return what lies in the only folder in it; None where there is another, or a file beside."""
        listed = self.listing
        around = [file.parts[:-1] for file in self.files] + [note.parts[:-1] for note in listed.notes]
        first = {parts[:1] for parts in (*around, *listed.folders, *listed.repositories)}
        if len(first) != 1 or first == {()}:
            return None
        (folder,) = first.pop()
        inner = replace(self, path=self.path / folder)
        vars(inner)["files"] = tuple(replace(file, parts=file.parts[1:]) for file in self.files)
        vars(inner)["listing"] = Listing(
            tuple(replace(note, parts=note.parts[1:]) for note in listed.notes),
            tuple(parts[1:] for parts in listed.folders if len(parts) > 1),
            tuple(parts[1:] for parts in listed.repositories),
        )
        return inner


@dataclass(frozen=True)
class Parcel:
    """What one person, or a team, handed in at one time, for whatever topics."""

    student: str  # what the person or team is called where there is no course that knows better
    members: tuple[Claim, ...]
    origin: str
    files: tuple[File, ...] = ()
    team: str | None = None
    topic: str | None = None  # what it is for where the names of the files do not tell it
    submitted_at: datetime.datetime | None = None
    time_source: TimeSource = "unknown"
    attempt: int | None = None
    late: bool | None = None
    problem: str | None = None  # why nothing of it can be read: a sentence to the student
    told: dict[File, str] = field(default_factory=dict)  # the topics of files that their names do not tell


def typed(note: Note, name: str) -> File:
    """Return what somebody typed into an editor of the platform in place of handing in a file, as a program of this name."""
    parts = (*note.parts[:-1], name)
    try:
        content = Content(text_of(note.read(MAX_TYPED).decode(errors="replace")).encode())
    except Unreadable as error:
        return refused(parts, f"the text {error}: hand in a file")
    return File(parts, content.sha256, content)


def shared(folders: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the folders that all of these paths of folders begin with.

    >>> shared([("a", "b", "c"), ("a", "b"), ("a", "b", "d")]), shared([("a",), ("b",)]), shared([])
    (('a', 'b'), (), ())
    """
    paths = list(folders)
    first, last = (min(paths), max(paths)) if paths else ((), ())
    length = next((index for index, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))
    return first[:length]


def most(
    paths: Sequence[tuple[str, ...]], folders: Sequence[tuple[str, ...]], packed: Callable[[Sequence[str]], re.Match[str] | None]
) -> list[re.Match[str]]:
    """Return the names that a platform made, if most of what lies side by side has such names; one student may imitate them in a folder.

    Args:
        paths: of files or folders.
        folders: all that there are, of people who handed in something else, too.
        packed: gives the name in a path that the platform made.
    """
    outer = {parts[:length] for parts in folders for length in range(len(parts))}
    around = len(shared([*(parts[:-1] for parts in paths), *(parts for parts in folders if parts not in outer)]))
    sides: dict[str, list[re.Match[str] | None]] = {}
    for parts in (*paths, *(parts for parts in folders if len(parts) > around)):
        sides.setdefault(parts[around], []).append(packed(parts))
    found = [[match for match in matches if match] for matches in sides.values() if any(matches)]
    return [match for matches in found for match in matches] if 2 * len(found) > len(sides) else []


def lies_alone(export: Export, folder: tuple[str, ...]) -> bool:
    """Return whether no other folder lies beside this one or beside those around it, as others' do beside that of one student."""
    return all(parts[: len(folder)] == folder or folder[: len(parts)] == parts for parts in export.listing.folders)


def _readable(path: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(path)
    except OSError as error:
        raise NoSubmission(f"{path} cannot be read: {error.strerror}") from error
