"""A class graded in parts, such as by the jobs of an array, and put together again."""

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from grader.classroom.reports import Written, write_reports
from grader.classroom.store import SEED, Store, StoreError
from grader.records import Result

__all__ = ["Merged", "Part", "merge"]


@dataclass(frozen=True)
class Part:
    """One of several parts of a class, which share no submission. What else is handed in moves nothing from one to another."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> "Part":
        """Return the part `I/N`.

        Raises:
            ValueError: it is none.

        >>> Part.of("3/8")
        Part(number=3, count=8)
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"--part is I/N with I from 1 to N, such as 3/8, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def holds(self, student: str, topic: str) -> bool:
        """Return whether a submission is in this part."""
        digest = hashlib.sha256(f"{student}/{topic}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


@dataclass(frozen=True)
class Merged:
    """What became of results put together."""

    results: int
    doubles: tuple[str, ...]  # sentences: what was in several folders
    written: Written


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Put the results of several folders together and write their reports.

    Raises:
        StoreError: a folder is missing, empty or damaged; the results do not belong together; one cannot be written.
            Unless it is the last of these, nothing was written.
    """
    found: dict[tuple[str, str], tuple[Result, Path]] = {}
    doubles = []
    for folder in [*([out] if out.is_dir() else []), *folders]:
        for result in _results(folder, may_be_empty=folder == out):
            key = (result.student, result.topic)
            if key in found:
                other, where = found[key]
                if _timeless(other) != _timeless(result):
                    raise StoreError(
                        f"{where} and {folder} have different results of {result.student} for {result.topic}: keep one of them"
                    )
                doubles.append(f"{result.student} {result.topic} is in {where} and {folder}")
            found.setdefault(key, (result, folder))
    _expect_alike(list(found.values()))
    store = Store(out)
    with store.writing():
        for result, folder in found.values():
            if folder != out:
                store.write(result)
        seed = next((folder / SEED for folder in folders if (folder / SEED).is_file()), None)
        if seed and not (out / SEED).exists():
            shutil.copyfile(seed, out / SEED)
        return Merged(len(found), tuple(doubles), write_reports(store))


def _results(folder: Path, may_be_empty: bool) -> list[Result]:
    results, damaged = Store(folder).results()
    if damaged:
        raise StoreError(f"{damaged[0]} is damaged: grade that part again, then merge")
    if not results and not may_be_empty and not (folder / SEED).is_file():
        raise StoreError(f"there are no results in {folder}")
    return results


def _timeless(result: Result) -> Result:
    trainings = tuple(replace(each, seeds=tuple(replace(seed, seconds=0.0) for seed in each.seeds)) for each in result.training)
    return replace(result, training=trainings, provenance=replace(result.provenance, seconds=0.0), previous=None)


def _expect_alike(found: Sequence[tuple[Result, Path]]) -> None:
    """Refuse results that one grading would not have given together."""
    known: dict[tuple[str, str], tuple[object, Path]] = {}
    for result, folder in found:
        basis, own = result.provenance.basis, result.provenance
        facts = {
            ("seed", ""): basis.seed_sha256,
            ("version of the grader or of torch, numpy or gymnasium", ""): basis.engine_sha256,
            ("version of the topic", f" {result.topic}"): basis.topic_sha256,
            ("sandbox, limit or choice of training", ""): (basis.sandbox, basis.limit, basis.training),
            ("instruction set", ""): own.cpu_capability,
        }
        for name, fact in facts.items():
            other, where = known.setdefault(name, (fact, folder))
            if other != fact:
                raise StoreError(
                    f"{folder} was graded with another {''.join(name)} than {where}, as {result.student} for {result.topic} shows: "
                    "grade both alike, then merge"
                )
