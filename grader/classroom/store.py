"""Results on disk: one JSON file for each student and topic, so that a killed run resumes and nothing is graded twice."""

import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from npfl139 import files

__all__ = ["OWN_FILES", "Store", "StoreError", "write_atomically"]

SCHEMA = 1
OWN_FILES = ("report.html", "seed.txt")  # in the folder of results, where no student's folder can have their names
FIELDS = {
    "student": str,
    "topic": str,
    "score": (int, float),
    "max_score": (int, float),
    "checks": list,
    "training": list,
    "provenance": dict,
}


class StoreError(Exception):
    """Results could not be read or written; the message tells the instructor what to do."""


class Store:
    """The results of one grading folder, in `<folder>/<student>/<topic>.json`."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    @contextmanager
    def writing(self) -> Iterator["Store"]:
        """Keep every other process from writing into the folder, which is made if need be.

        Raises:
            StoreError: another process is writing into it, or nobody may.
        """
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
        path = self.folder / "seed.txt"
        try:
            return int(path.read_text())
        except FileNotFoundError:
            write_atomically(path, f"{secrets.randbits(62)}\n")
            return int(path.read_text())
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read the seed in {path}: restore it, or grade into another folder") from error

    def path(self, student: str, topic: str) -> Path:
        """Return where the result of a student for a topic lies.

        Raises:
            StoreError: the name of the student cannot be that of a folder.
        """
        if not student or student.startswith(".") or any(character in "/\\" or not character.isprintable() for character in student):
            raise StoreError(f"{student!r} cannot be the name of a student: it must be a folder's name that does not start with a dot")
        return self.folder / student / f"{topic}.json"

    def write(self, result: dict, options: dict) -> None:
        """Store a result, and with it the options it was graded under.

        An earlier result of another submission or another grader leaves its score behind, in `previous`. Numbers that are not
        finite are stored as null.

        Raises:
            StoreError: it cannot be stored; whatever was stored before is intact.
        """
        stored = {**result, "provenance": {**result["provenance"], "options": options}}
        earlier = self.read(result["student"], result["topic"])
        if earlier is not None:
            same = all(earlier["provenance"].get(key) == result["provenance"].get(key) for key in ("submission_sha256", "grader_sha256"))
            stored["previous"] = earlier.get("previous") if same else _summary(earlier)
        path = self.path(result["student"], result["topic"])
        write_atomically(path, json.dumps(_finite(stored), indent=1, allow_nan=False) + "\n")

    def read(self, student: str, topic: str) -> dict | None:
        """Return a stored result, or None where there is none or the file is damaged."""
        return _parsed(self.path(student, topic))

    def finished(self, student: str, topic: str, submission_sha256: str, grader_sha256: str, options: dict) -> dict | None:
        """Return the stored result if grading again would only repeat it, else None.

        It would not when the submission, the grader or the options are others, or when the grader failed the last time.
        """
        result = self.read(student, topic)
        if result is None or any(part["verdict"] == "grader_fault" for part in result["checks"] + result["training"]):
            return None
        provenance = result["provenance"]
        graded = (provenance.get("submission_sha256"), provenance.get("grader_sha256"), provenance.get("options"))
        return result if graded == (submission_sha256, grader_sha256, options) else None

    def results(self) -> tuple[list[dict], list[Path]]:
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


def _parsed(path: Path) -> dict | None:
    try:
        result = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if (
        not isinstance(result, dict)
        or result.get("schema") != SCHEMA
        or not all(isinstance(result.get(name), kind) for name, kind in FIELDS.items())
    ):
        return None
    named_by_path = (result["student"], result["topic"]) == (path.parent.name, path.stem)
    graded = all(isinstance(part, dict) and "verdict" in part for part in result["checks"] + result["training"])
    return result if named_by_path and graded else None


def _summary(result: dict) -> dict:
    kept = {key: result["provenance"].get(key) for key in ("submission_sha256", "grader_sha256")}
    return {"score": result["score"], "max_score": result["max_score"], **kept}


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
