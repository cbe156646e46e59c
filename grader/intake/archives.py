"""Reads what students hand in from folders and zip archives: in memory, within limits, without following a link or a path.

Nothing is ever extracted, so a member named `../../x` or `/etc/x` is only a name here. What cannot be read becomes a
`File` with a `problem`, and the rest is read on.
"""

import functools
import hashlib
import io
import os
import re
import stat
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from npfl139.source import MAX_BYTES, SUFFIXES, Unreadable

__all__ = ["File", "Kept", "files_in"]

IGNORED = re.compile(r"\.|__MACOSX$|__pycache__$")  # hidden folders and files, and what systems leave behind
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others need a dictionary whose size the archive may choose


class Kept:
    """The content of a file, in one on the disk that has no name and ends with this process: a class may hand in gigabytes."""

    def __init__(self, content: bytes):
        descriptor = _kept()
        self._place, self._size = os.lseek(descriptor, 0, os.SEEK_END), len(content)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def read(self) -> bytes:
        return os.pread(_kept(), self._size, self._place)


@functools.cache
def _kept() -> int:
    with tempfile.TemporaryFile(buffering=0) as stream:
        return os.dup(stream.fileno())


@dataclass(frozen=True)
class File:
    """A program or notebook that was handed in, or an archive in which there is none."""

    parts: tuple[str, ...]  # folders, perhaps archives, and at last the file's name, below the path that was given
    content_sha256: str
    content: Kept | None = None  # not looked into: that is for the sandbox
    problem: str | None = None  # a sentence to the student; then there is no content


def files_in(path: Path) -> Iterator[File]:
    """Yield the programs and notebooks in a file, a folder or a zip archive, in the order of their names.

    Raises:
        OSError: the path itself cannot be read.
    """
    path.lstat()  # raises if there is nothing
    if path.is_dir():
        yield from _in_folder(path)
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


def _in_folder(root: Path) -> Iterator[File]:
    budgets: defaultdict[str, Budget] = defaultdict(Budget.of_student)  # by what lies directly in the folder: a student's folder or file
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not IGNORED.match(name))
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix.lower() in (*SUFFIXES, ".zip") and not IGNORED.match(name):
                parts = path.relative_to(root).parts
                yield from _in_file(path, parts, budgets[parts[0]])


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
        yield File(parts, _sha256(b""), problem=str(error))
    except OSError as error:
        yield File(parts, _sha256(b""), problem=f"{parts[-1]} cannot be read ({error.strerror}): hand it in again")
    else:
        yield from _in_content(content, parts)


def _in_content(content: bytes, parts: tuple[str, ...]) -> Iterator[File]:
    if parts[-1].lower().endswith(".zip"):
        yield from _in_archive(io.BytesIO(content), parts, parts, Budget.of_student())
    else:
        yield File(parts, _sha256(content), Kept(content))


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
        yield File(parts, _sha256(b""), problem=f"{parts[-1]}: {error}")
    except Exception:  # as above, and zlib's
        yield File(parts, _sha256(b""), problem=f"{parts[-1]} is damaged in the archive: pack it again and hand that in")
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


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
