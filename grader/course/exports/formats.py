"""Which formats there are, by the entry-point group `npfl139.exports`, and what they share.

An entry point names a module with a function `write(request) -> Written`, which raises `ExportError`.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from msgspec.structs import replace

from grader.brought import brought
from grader.course.marks import Mark, Person
from grader.records import Part, Verdict
from grader.show.findings import VERDICTS
from grader.show.sheet import cell
from grader.show.words import likeness, sentence
from npfl139.text import one_line

__all__ = [
    "GROUP",
    "ExportError",
    "Format",
    "Request",
    "Written",
    "anonymous",
    "cell",
    "comment",
    "formats",
    "one_assignment",
    "points_text",
    "reasons",
    "settled",
]

GROUP = "npfl139.exports"


class ExportError(ValueError):
    """The export cannot be written. The message is one sentence."""


@dataclass(frozen=True)
class Request:
    """What is to be exported."""

    marks: Sequence[Mark]
    out: Path  # the file to write, or the folder where a format writes several
    given: Path | None = None  # the file of the platform that is filled in, where a format has one
    column: str | None = None  # of it, where the names do not tell which
    now: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))


@dataclass(frozen=True)
class Written:
    """What became of it."""

    paths: tuple[Path, ...]
    left_out: tuple[str, ...] = ()  # sentences: whose mark is not in it, and why


class Format(Protocol):
    """A module that writes one format."""

    def write(self, request: Request) -> Written: ...


def formats() -> dict[str, Format]:
    """Return the formats by name.

    Raises:
        ExportError: two distributions bring one of the same name, or one cannot be imported.
    """
    try:
        return {name: cast(Format, import_module(point.value)) for name, point in sorted(brought(GROUP, "format").items())}
    except ValueError as error:
        raise ExportError(str(error)) from error
    except ImportError as error:
        raise ExportError(f"a format cannot be loaded: {error}: install or uninstall it once more") from error


def anonymous(marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks with pseudonyms in place of persons, and nothing that would tell who they are, not even the order."""
    changed = []
    for mark in marks:
        pseudonym = mark.person.pseudonym
        result = mark.result and replace(mark.result, student=pseudonym)
        changed.append(replace(mark, person=Person(pseudonym, pseudonym), origin=None, comments=(), result=result))
    return sorted(changed, key=lambda mark: mark.person.pseudonym)


def one_assignment(marks: Sequence[Mark], name: str) -> str:
    """Return the assignment that all marks are for.

    Raises:
        ExportError: there are several, or none.
    """
    found = sorted({mark.assignment for mark in marks})
    if len(found) != 1:
        some = f"there are marks for {', '.join(found)}" if found else "there are no marks"
        raise ExportError(f"{name} takes the marks of one assignment, and {some}: name one with --assignment")
    return found[0]


def settled(mark: Mark, now: datetime.datetime) -> bool:
    """Return whether a mark stands: it is graded, or nothing was handed in until it was due."""
    return mark.state == "graded" or (mark.state == "missing" and (mark.due is None or mark.due <= now))


def points_text(points: float) -> str:
    """Return points as all systems read them: a decimal point, at most two digits after it, none of them useless.

    >>> points_text(12.0), points_text(7.125), points_text(0.1 + 0.2), points_text(1234567.5)
    ('12', '7.12', '0.3', '1234567.5')
    """
    return f"{points:.2f}".rstrip("0").rstrip(".")


def reasons(part: Part) -> list[str]:
    """Return why a part failed, in sentences to the student; nothing for one that passed. No expected value is ever among them."""
    if part.passed:
        return []
    told = [sentence(one_line(part.feedback or VERDICTS[part.verdict]))]
    if part.mistake:
        told.append(sentence(f"{likeness(part)} {one_line(part.mistake)}".replace("your", "Your", 1).replace("in these", "In these", 1)))
    if part.hint:
        told.append(sentence(one_line(part.hint)))
    return told


def comment(mark: Mark) -> list[str]:
    """Return how a mark came about, one sentence or clause each, for the person to read."""
    told = [f"{points_text(mark.points)} of {points_text(mark.max_points)} points"]
    if mark.adjustment or mark.penalty:
        change = f" {'+' if mark.adjustment > 0 else '−'} {points_text(abs(mark.adjustment))} adjusted" if mark.adjustment else ""
        late = f" − {points_text(mark.penalty)} for being late" if mark.penalty else ""
        told[0] += f" ({points_text(mark.score)}{change}{late})"
    if mark.state == "missing":
        told.append("nothing was handed in")
    if mark.result is not None:
        if mark.result.problem:
            told.append(one_line(mark.result.problem))
        failed = dict.fromkeys(part.where for part in mark.result.parts if part.verdict not in (Verdict.PASSED, Verdict.GRADER_FAULT))
        if failed:
            told.append(f"not passed: {', '.join(failed)}")
    return told + [one_line(text) for text in mark.comments]
