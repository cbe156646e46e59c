"""Writes the reports of a folder of results. A page that cannot be made or written keeps no other from being written."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.classroom.store import Store, StoreError, write_atomically
from grader.contract.figures import reference_band
from grader.contract.registry import available
from grader.show.findings import printable
from grader.show.groups import grouped
from grader.show.report import Band, Marks, class_page, student_page
from grader.show.sheet import everything

__all__ = ["Written", "write_reports"]


@dataclass(frozen=True)
class Written:
    """What became of the reports."""

    path: Path  # of the class's
    failed: tuple[str, ...]  # sentences: which page could not be written, and why


def known_band(topic: str, training: str) -> list[list[float]] | None:
    """Return the band of the reference's learning curves; None where there is none, or the topic is not installed any more."""
    return reference_band(topic, training) if topic in available() else None


def write_reports(
    store: Store,
    band: Band = known_band,
    course: str | None = None,
    given: Mapping[str, float] | None = None,
    marks: Marks | None = None,
    only_outdated: bool = False,
) -> Written:
    """Write `report.html` and `report.csv` for the class, and a `report.html` into the folder of each student.

    Args:
        course, given, marks: see `grader.show.report.class_page`.
        only_outdated: leave the page of a student who has one that is newer than each of the student's results.
    """
    results, damaged = store.results()
    failed: list[str] = []
    for student, own in grouped(results, lambda result: result.student).items():
        if only_outdated and _is_newer(store.folder / student / "report.html", [store.path(student, each.topic) for each in own]):
            continue
        _write(store, Path(student) / "report.html", functools.partial(student_page, own, band, course, within_class=True), failed)
    names = [str(file.relative_to(store.folder)) for file in damaged]
    _write(store, Path("report.csv"), functools.partial(everything, results), failed)
    _write(store, Path("report.html"), lambda: class_page(results, names, failed, course, given, marks), failed)
    return Written(store.folder / "report.html", tuple(failed))


def _is_newer(page: Path, results: Sequence[Path]) -> bool:
    try:
        written = page.stat().st_mtime_ns
        return all(result.stat().st_mtime_ns < written for result in results)
    except OSError:
        return False


def _write(store: Store, name: Path, page: Callable[[], str], failed: list[str]) -> None:
    try:
        write_atomically(store.folder / name, page())
    except StoreError as error:
        failed.append(str(error))
    except Exception as error:  # whatever a result made of a page, it costs that page only
        failed.append(printable(f"the page {name} could not be made: {type(error).__name__}: {error}"))
