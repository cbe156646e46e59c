"""Reads what students hand in from folders and zip archives: in memory, within limits, without following a link or a path.

Nothing is ever extracted, so a member named `../../x` or `/etc/x` is only a name here. What cannot be read becomes a
`File` with a `problem`, and the rest is read on.
"""

import errno
import hashlib
import io
import os
import re
import stat
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from grader.intake.contents import Content
from npfl139.catalogue import topic_of
from npfl139.source import MAX_BYTES, SUFFIXES, Unreadable

__all__ = ["CLONES", "GIVEN", "IGNORED", "SUBMITTED", "Budget", "File", "Listing", "Note", "files_in", "listing", "refused"]

IGNORED = re.compile(r"\.|__MACOSX$|__pycache__$")  # hidden folders and files, and what systems leave behind
NOTES = re.compile(r"submission_metadata\.yml|timestamp\.txt|onlinetext\.html|.+_text\.html|[^/]+\.csv", re.IGNORECASE)
SUBMITTED = "submitted"  # the folder in which nbgrader collects
CLONES = re.compile(r"(.+)-submissions")  # the folder that GitHub's command clones into
GIVEN = re.compile(rf"{SUBMITTED}|assignment_\d+_export|{CLONES.pattern}")  # folders that platforms name, Gradescope too, and no student
MAX_SHORT = 1000  # bytes of a note
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others need a dictionary whose size the archive may choose


@dataclass(frozen=True)
class File:
    """A program or notebook that was handed in, or an archive in which there is none."""

    parts: tuple[str, ...]  # folders, perhaps archives, and at last the file's name, below the path that was given
    content_sha256: str
    content: Content | None = None  # not looked into: that is for the sandbox
    problem: str | None = None  # a sentence to the student; then there is no content
    given: str | None = None  # the name that the student gave it, where the platform put something before it

    @property
    def name(self) -> str:
        return self.parts[-1] if self.given is None else self.given


@dataclass(frozen=True)
class Note:
    """A file in which a platform says something of what was handed in, not read yet."""

    parts: tuple[str, ...]
    _opened: Callable[[], AbstractContextManager[IO[bytes]]]

    def read(self, limit: int) -> bytes:
        """Return its content.

        Raises:
            Unreadable: it has more than `limit` bytes, or cannot be read; the message completes its name to a sentence.
        """
        try:
            with self._opened() as stream:
                content = stream.read(limit + 1)
        except Exception as error:  # of the file system, of zipfile and zlib
            raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or 'it is damaged'}") from error
        if len(content) > limit:
            raise Unreadable(f"has more than {limit // 2**20} MiB")
        return content


@dataclass(frozen=True)
class Listing:
    """What else lies in a folder or zip archive, by name only."""

    notes: tuple[Note, ...] = ()
    folders: tuple[tuple[str, ...], ...] = ()  # all that are not hidden; of an archive, none
    repositories: tuple[tuple[str, ...], ...] = ()  # the folders in which git keeps a history


def listing(path: Path) -> Listing:
    """Return what a folder or zip archive holds besides programs and notebooks; what students packed is not looked into.

    Raises:
        OSError: the path itself cannot be read.
    """
    if path.is_dir():
        return _folder_listed(path)
    if path.is_file() and path.suffix.lower() == ".zip":
        return _archive_listed(path)
    return Listing()


def _folder_listed(root: Path) -> Listing:
    notes, inside, repositories = [], [], []
    for folder, folders, names in os.walk(root):
        parts = Path(folder).relative_to(root).parts
        if ".git" in folders or ".git" in names:
            repositories.append(parts)
        folders[:] = sorted(name for name in folders if not IGNORED.match(name))
        inside += [(*parts, name) for name in folders]
        notes += [Note((*parts, name), partial(_opened, Path(folder) / name)) for name in sorted(names) if NOTES.fullmatch(name)]
    return Listing(tuple(notes), tuple(inside), tuple(repositories))


def _opened(path: Path) -> IO[bytes]:
    """Open an ordinary file, neither what a link points to nor what would never end."""
    return open(path, "rb", opener=lambda name, flags: _ordinary(os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)))


def _ordinary(descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not an ordinary file")
    return descriptor


def _archive_listed(path: Path) -> Listing:
    notes, repositories = [], []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                parts = _parts(member)
                if parts[-2:] == (".git", "HEAD"):
                    repositories.append(parts[:-2])
                if parts and NOTES.fullmatch(parts[-1]) and _is_sound(member) and not any(map(IGNORED.match, parts)):
                    notes.append(Note(parts, _short(archive, member) or partial(_member_opened, path, member)))
    except Exception:  # `files_in` says what is wrong with it
        return Listing()
    return Listing(tuple(sorted(notes, key=lambda note: note.parts)), (), tuple(sorted(repositories)))


def _is_sound(member: zipfile.ZipInfo) -> bool:
    return ".." not in _parts(member) and not stat.S_ISLNK(member.external_attr >> 16) and member.compress_type in METHODS


def _short(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]] | None:
    """Return what opens a short note, which is read while the archive is open: there may be thousands, such as of times."""
    try:
        with archive.open(member) as stream:
            content = stream.read(MAX_SHORT + 1) if member.file_size <= MAX_SHORT else None
    except Exception:  # told to whoever reads it
        return None
    return partial(io.BytesIO, content) if content is not None and len(content) <= MAX_SHORT else None


@contextmanager
def _member_opened(path: Path, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        yield stream


def files_in(path: Path, topics: Sequence[str]) -> Iterator[File]:
    """Yield the programs and notebooks in a file, a folder or a zip archive, in the order of their names.

    Args:
        topics: the names of all topics, by which the folders of assignments are recognized.

    Raises:
        OSError: the path itself cannot be read.
    """
    path.lstat()  # raises if there is nothing
    if path.is_dir():
        yield from _in_folder(path, topics)
    elif path.suffix.lower() == ".zip":
        with path.open("rb") as stream:
            yield from _in_archive(stream, (), (path.name,), Budget.of_class())
    else:
        yield from _in_file(path, (path.name,), Budget.of_student())


@dataclass
class Budget:
    """What may still be read from an archive or folder. Every student's has its own, so that a bomb costs nobody else anything.

    With the limit on each file this bounds memory and time; a limit on compression ratios would add nothing.
    """

    files: int
    unpacked_bytes: int
    may_nest: bool  # whether an archive in it is read: a student's in the class's is

    @classmethod
    def of_class(cls) -> "Budget":
        return cls(files=20_000, unpacked_bytes=8 * 2**30, may_nest=True)

    @classmethod
    def of_student(cls) -> "Budget":
        return cls(files=50, unpacked_bytes=4 * MAX_BYTES, may_nest=False)

    def spend(self, files: int = 0, unpacked_bytes: int = 0) -> None:
        """Raise `Unreadable` when there is not so much left."""
        self.files -= files
        self.unpacked_bytes -= unpacked_bytes
        if self.files < 0 or self.unpacked_bytes < 0:
            raise Unreadable("this holds too much: hand in the assignment only")


def _in_folder(root: Path, topics: Sequence[str]) -> Iterator[File]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not IGNORED.match(name))
        wanted = [name for name in sorted(names) if name.lower().endswith((*SUFFIXES, ".zip")) and not IGNORED.match(name)]
        found += [(*Path(folder).relative_to(root).parts, name) for name in wanted]
    shared = _shared_folders(found, topics)
    budgets: defaultdict[tuple[str, ...], Budget] = defaultdict(Budget.of_student)
    for parts in found:
        own = next(parts[:length] for length in range(1, len(parts) + 1) if length == len(parts) or parts[:length] not in shared)
        yield from _in_file(root.joinpath(*parts), parts, budgets[own])


def _shared_folders(paths: Iterable[tuple[str, ...]], topics: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the folders in which more people's than one student's may lie, of those that lead to programs.

    A folder that has none beside it is one, so are those of assignments side by side, and what a platform names. No student names these.
    """
    inside: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in paths:
        for length in range(len(parts) - 1):
            inside[parts[:length]].add(parts[length])
    found, waiting = set[tuple[str, ...]](), list[tuple[str, ...]]([()])
    while waiting:
        around = waiting.pop()
        names = sorted(inside[around])
        of_topics = {topic_of(name, topics)[0] for name in names}
        apart = len(of_topics) == len(names) and None not in of_topics
        inner = [(*around, name) for name in names if len(names) == 1 or apart or GIVEN.fullmatch(name)]
        found.update(inner)
        waiting += inner
    return found


def _in_file(path: Path, parts: tuple[str, ...], budget: Budget) -> Iterator[File]:
    """Yield what is in a file, which a student may have made a trap."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise Unreadable(f"{parts[-1]} is a symbolic link: hand in the file itself")
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(f"{parts[-1]} is not an ordinary file: hand in the file itself")
        if status.st_size > MAX_BYTES:
            raise Unreadable(f"{parts[-1]} has more than {MAX_BYTES // 2**20} MiB: hand in the assignment only")
        budget.spend(files=1, unpacked_bytes=status.st_size)
        content = path.read_bytes()
    except Unreadable as error:
        yield refused(parts, str(error))
    except OSError as error:
        yield refused(parts, f"{parts[-1]} cannot be read ({error.strerror}): hand it in again")
    else:
        yield from _in_content(content, parts)


def _in_content(content: bytes, parts: tuple[str, ...]) -> Iterator[File]:
    if parts[-1].lower().endswith(".zip"):
        yield from _in_archive(io.BytesIO(content), parts, parts, Budget.of_student())
    else:
        kept = Content(content)
        yield File(parts, kept.sha256, kept)


def _in_archive(stream: io.BytesIO | io.BufferedReader, parts: tuple[str, ...], itself: tuple[str, ...], budget: Budget) -> Iterator[File]:
    """Yield what is in a zip archive, below `parts`; if that is nothing, a file with the parts `itself` and the problem."""
    content_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        with zipfile.ZipFile(stream) as archive:
            members = sorted(filter(_is_wanted, archive.infolist()), key=lambda member: member.filename)
            if not members:
                raise Unreadable("there is no .py and no .ipynb file in the archive: hand in one")
            budget.spend(files=len(members))
            for member in members:
                yield from _in_member(archive, member, parts, budget)
    except Unreadable as error:
        yield File(itself, content_sha256, problem=str(error))
    except Exception:  # zipfile raises many kinds on a malformed archive; to the student they all mean the same
        yield File(itself, content_sha256, problem="the archive is broken or not a zip archive: pack it again and hand that in")


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    parts = _parts(member)
    known = bool(parts) and parts[-1].lower().endswith((*SUFFIXES, ".zip"))
    return known and not member.is_dir() and not any(IGNORED.match(part) and part != ".." for part in parts)


def _parts(member: zipfile.ZipInfo) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[/\\]", member.filename) if part not in ("", "."))


def _in_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, outer: tuple[str, ...], budget: Budget) -> Iterator[File]:
    parts = (*outer, *(part for part in _parts(member) if part != ".."))
    try:
        content = _unpacked(archive, member, budget)
    except Unreadable as error:
        yield refused(parts, f"{parts[-1]}: {error}")
    except Exception:  # as above, and zlib's
        yield refused(parts, f"{parts[-1]} is damaged in the archive: pack it again and hand that in")
    else:
        yield from _in_content(content, parts)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: Budget) -> bytes:
    """Return the content of a member; what its header says of its size is not believed."""
    if ".." in _parts(member) or re.match(r"[/\\]|[A-Za-z]:", member.filename):
        raise Unreadable("its path leads out of the archive: pack the file alone and hand that in")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise Unreadable("it is a symbolic link: hand in the file itself")
    if member.flag_bits & 1:
        raise Unreadable("it is encrypted: hand it in without a password")
    if member.compress_type not in METHODS:
        raise Unreadable("it is compressed in an unusual way: pack it as an ordinary zip archive")
    if member.filename.lower().endswith(".zip") and not budget.may_nest:
        raise Unreadable("it is an archive in an archive: hand in the file itself")
    budget.spend()
    with archive.open(member) as stream:
        content = stream.read(MAX_BYTES + 1)
    budget.spend(unpacked_bytes=len(content))
    if len(content) > MAX_BYTES:
        raise Unreadable(f"it has more than {MAX_BYTES // 2**20} MiB: hand in the assignment only")
    return content


def refused(parts: tuple[str, ...], problem: str) -> File:
    """Return a file of which nothing is read, for a reason."""
    return File(parts, hashlib.sha256(b"").hexdigest(), problem=problem)
