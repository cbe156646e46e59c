"""Results on disk: one JSON file for each student and topic, so that a killed run resumes and nothing is graded twice."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from grader.records import Basis, Result
from npfl139 import files

__all__ = ["OWN_FILES", "SEED", "Store", "StoreError", "write_atomically"]

SEED = "seed.txt"
OWN_FILES = ("report.csv", "report.html", SEED)  # in the folder of results, where no student's folder can have their names


class StoreError(Exception):
    """Results could not be read or written; the message tells the instructor what to do."""


class Store:
    """The results of one grading folder, in `<folder>/<student>/<topic>.json`."""

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)

    @contextmanager
    def writing(self) -> Iterator["Store"]:
        """Keep every other process from writing into the folder, which is made if need be.

        Raises:
            StoreError: another process is writing into it, or nobody may.
        """
        from filelock import FileLock, Timeout  # slow to import, and not needed by those who only read

        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(
                f"another process is writing results into {self.folder}: wait until it ends, or choose another folder"
            ) from error
        except OSError as error:
            raise StoreError(f"cannot write results into {self.folder}: {error.strerror}") from error
        try:
            for half_written in self.folder.glob("*/.*.json.*.partial"):
                half_written.unlink()
            yield self
        finally:
            lock.release()

    def seed(self) -> int:
        """Return the seed of this folder's grading, drawn when it is first asked for: nobody can know it before.

        Raises:
            StoreError: it can be neither read nor written.
        """
        path = self.folder / SEED
        try:
            return int(path.read_text())
        except FileNotFoundError:
            write_atomically(path, f"{secrets.randbits(62)}\n")
            return int(path.read_text())
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read the seed in {path}: restore it, or grade into another folder") from error

    def share_seed(self, file: Path) -> None:
        """Take the seed of a file, which is drawn into it where there is no such file: several folders then have the same.

        Raises:
            StoreError: the file can be neither read nor made, or this folder has another seed.
        """
        drawn = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        try:
            if not file.exists():
                drawn.write_text(f"{secrets.randbits(62)}\n")
                with suppress(FileExistsError):  # another one was quicker
                    os.link(drawn, file)  # all of it at once
            seed = int(file.read_text())
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read a seed in {file}, nor draw one into it: it holds one whole number") from error
        finally:
            drawn.unlink(missing_ok=True)
        own = self.folder / SEED
        if not own.exists():
            write_atomically(own, f"{seed}\n")
        if self.seed() != seed:
            raise StoreError(f"{self.folder} was graded with another seed than that in {file}: choose another folder, or that one's {SEED}")

    def path(self, student: str, topic: str) -> Path:
        """Return where the result of a student for a topic lies.

        Raises:
            StoreError: the name of the student cannot be that of a folder.
        """
        if not student or student.startswith(".") or any(character in "/\\" or not character.isprintable() for character in student):
            raise StoreError(f"{student!r} cannot be the name of a student: it must be a folder's name that does not start with a dot")
        return self.folder / student / f"{topic}.json"

    def write(self, result: Result) -> None:
        """Store a result. An earlier one of another submission, grader or topic leaves its score behind, in `previous`.

        Raises:
            StoreError: it cannot be stored; whatever was stored before is intact.
        """
        path, earlier = self.path(result.student, result.topic), self.read(result.student, result.topic)
        if earlier is not None:
            left = earlier.superseded()
            same = left.of_the_same(result.provenance.basis)
            result = msgspec.structs.replace(result, previous=earlier.previous if same else left)
        write_atomically(path, json.dumps(msgspec.to_builtins(result), indent=1, allow_nan=False) + "\n")

    def read(self, student: str, topic: str) -> Result | None:
        """Return a stored result, or None where there is none or the file is damaged."""
        return _parsed(self.path(student, topic))

    def finished(self, student: str, topic: str, basis: Basis) -> Result | None:
        """Return the stored result if grading again would only repeat it, else None.

        It would not when anything that the mark rests on is another, or when the grader failed the last time.
        """
        result = self.read(student, topic)
        return result if result is not None and not result.is_fault and result.provenance.basis == basis else None

    def results(self) -> tuple[list[Result], list[Path]]:
        """Return all stored results by student and topic, and the files that hold none because they are damaged."""
        read = {path: _parsed(path) for path in sorted(self.folder.glob("[!.]*/[!.]*.json"))}
        return [result for result in read.values() if result is not None], [path for path, result in read.items() if result is None]


def write_atomically(path: Path, text: str) -> None:
    """Write a file, and the folder that it lies in if need be, as `npfl139.files.write_atomically`.

    Raises:
        StoreError: the text could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, text)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; everything written earlier is intact") from error


def _parsed(path: Path) -> Result | None:
    """Return the result in a file; None where it holds no complete and consistent one of the student and topic of its path."""
    try:
        result = msgspec.convert(json.loads(path.read_bytes()), Result)
    except (OSError, ValueError, RecursionError):  # msgspec's ValidationError is a ValueError
        return None
    return result if (result.student, result.topic) == (path.parent.name, path.stem) else None
