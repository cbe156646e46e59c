"""What an instructor decides about a course: `course.toml`, read, checked, and complained about in sentences."""

import dataclasses
import datetime
import difflib
import re
import tomllib
import zoneinfo
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from grader.classroom.store import SEED
from grader.records import Amount, Record, SandboxKind

__all__ = ["FILE", "Assignment", "CourseError", "Late", "Settings", "due_of", "find_course", "read_settings", "template"]

FILE = "course.toml"
Attempts = Literal["best", "last"]
Percent = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[float, Meta(ge=1)]
EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "object": "a table",
    "datetime": "a date, with or without a time, such as 2026-11-02 or 2026-11-02T18:00:00",
}


class CourseError(ValueError):
    """Something about a course is not as it must be. The message is one sentence that says what to do."""


class Late(Record, frozen=True):
    """What being late costs: a part of the assignment's maximum for every day that has begun, and everything after some days."""

    percent_per_day: Percent = 10.0
    days: Amount = 7.0  # what comes later than that is not graded
    grace_minutes: Amount = 10.0  # that cost nothing


class Assignment(Record, frozen=True):
    """One topic, handed in once."""

    due: datetime.datetime  # aware
    topic: str
    weight: Amount = 1.0  # what one of its points counts in the total
    late: Late = Late()
    attempts: Attempts = "best"
    training: bool = True
    limit: Seconds | None = None


class Settings(Record, frozen=True):
    """All of `course.toml`, with what it leaves out filled in."""

    title: str
    term: str
    assignments: dict[str, Assignment]  # by name, as they are due
    timezone: str = "UTC"
    gradebook: str = "gradebook.db"  # a file beside course.toml, or the URL of a PostgreSQL database
    sandbox: SandboxKind = "bwrap"
    seed: int | Literal["secret"] = "secret"  # "secret": drawn once, kept beside course.toml

    @property
    def zone(self) -> datetime.tzinfo:
        return zoneinfo.ZoneInfo(self.timezone)


@dataclasses.dataclass(frozen=True)
class _Level:
    """The keys of one table, with what each must be."""

    types: Mapping[str, Any]
    required: tuple[str, ...] = ()


RULES = {"attempts": Attempts, "training": bool, "limit": Seconds}
COURSE = _Level(
    {"title": str, "term": str, "timezone": str, "gradebook": str, "sandbox": SandboxKind, "seed": int | str, **RULES}, ("title", "term")
)
ASSIGNMENT = _Level({"topic": str, "due": datetime.datetime, "weight": Amount, **RULES}, ("due",))
LATE = _Level({field.name: field.type for field in msgspec.structs.fields(Late)})


def find_course(start: Path) -> Path | None:
    """Return the folder of the course that a folder lies in: the nearest at or above it that holds a course.toml."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def read_settings(folder: Path, topics: Sequence[str]) -> Settings:
    """Return the settings of a course.

    Args:
        folder: in which its course.toml lies.
        topics: the names of the topics that there are.

    Raises:
        CourseError: it cannot be read, or says something that no course can have.
    """
    path = folder / FILE
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}; npfl139 course init writes one") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} is not TOML: {error}") from error
    try:
        return _settings(told, topics)
    except CourseError as error:
        raise CourseError(f"{path}: {error}") from error


def _settings(told: dict[str, Any], topics: Sequence[str]) -> Settings:
    late, assignments = told.pop("late", {}), told.pop("assignments", {})
    course = _checked(told, COURSE, "", ("late", "assignments"))
    zone = _zone(course.get("timezone", "UTC"))
    if isinstance(course.get("seed"), str) and course["seed"] != "secret":
        raise CourseError(f'seed must be a whole number or "secret", got "{course["seed"]}"')
    if not isinstance(assignments, dict) or not assignments:
        raise CourseError(f"there is no assignment: add one, such as [assignments.{topics[0] if topics else 'ppo'}] with its due date")
    usual = {name: course.pop(name) for name in RULES if name in course}
    usual_late = _checked(late, LATE, "late")
    made = {name: _assignment(name, entry, usual, usual_late, zone, topics) for name, entry in assignments.items()}
    return Settings(assignments=dict(sorted(made.items(), key=lambda item: item[1].due)), **course)


def _assignment(
    name: str, told: object, usual: dict[str, Any], usual_late: dict[str, Any], zone: datetime.tzinfo, topics: Sequence[str]
) -> Assignment:
    where = f"assignments.{name}"
    if not re.fullmatch(r"\w[\w-]*", name):
        raise CourseError(f"{name!r} cannot be the name of an assignment: use letters, digits, - and _")
    if not isinstance(told, dict):
        raise CourseError(f"{where} must be a table, such as [{where}] with its due date")
    late = usual_late | _checked(told.pop("late", {}), LATE, f"{where}.late")
    if "due" in told:
        told["due"] = due_of(told["due"], zone, f" of {where}")
    entry = usual | _checked(told, ASSIGNMENT, where, ("late",))
    entry.setdefault("topic", name)
    if entry["topic"] not in topics:
        raise CourseError(
            f"{where} is for the topic {entry['topic']!r}, which is not installed{_nearest(entry['topic'], topics)}: "
            f'give it one with topic = "…" out of {", ".join(topics)}'
        )
    return Assignment(late=Late(**late), **entry)


def _checked(told: object, level: _Level, where: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the values of a table, each of the type that it must have."""
    if not isinstance(told, dict):
        raise CourseError(f"{where} must be a table, got {told!r}")
    of = f" of {where}" if where else ""
    for name in told:
        if name not in level.types:
            known = [*level.types, *more]
            raise CourseError(
                f"there is no setting {name!r}{of}{_nearest(name, known)}: there {'are' if len(known) > 1 else 'is'} {', '.join(known)}"
            )
    lacking = [name for name in level.required if name not in told]
    if lacking:
        raise CourseError(f"{where or 'the course'} has no {lacking[0]}: add {lacking[0]} = …")
    values = {}
    for name, value in told.items():
        try:
            values[name] = msgspec.convert(value, level.types[name])
        except msgspec.ValidationError as error:
            raise CourseError(f"{name}{of} must be {_expected(str(error), level.types[name])}, got {_shown(value)}") from error
    return values


def _expected(message: str, kind: Any) -> str:
    choices = getattr(kind, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return " or ".join(f'"{choice}"' for choice in choices)
    match = re.match(r"Expected `(\w+)(?: \| \w+)*`(.*?)(?:, got .*)?( - at .*)?$", message)
    bound = re.sub(r" ([<>]=?) ([\d.e+]+)", lambda found: _bound(found[1], found[2]), match[2]) if match else ""
    return f"{EXPECTED.get(match[1], match[1]) if match else message}{bound}"


def _bound(sign: str, number: str) -> str:
    return f" of {'at least' if sign == '>=' else 'at most'} {float(number):g}"


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _zone(name: str) -> datetime.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = _nearest(name, sorted(zoneinfo.available_timezones()))
        raise CourseError(f"there is no timezone {name!r}{near}: name one such as Europe/Prague, or leave it out for UTC") from error


def due_of(value: object, zone: datetime.tzinfo, of: str = "") -> datetime.datetime:
    """Return a date as the last second of its day, and a time without a zone as one of the course's.

    Args:
        of: what it is the due date of, for the message.

    Raises:
        CourseError: it is neither a date nor a time.
    """
    told = value
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value) if len(value) > 10 else datetime.date.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time(23, 59, 59))
    if not isinstance(value, datetime.datetime):
        raise CourseError(f"due{of} must be {EXPECTED['datetime']}, got {_shown(told)}")
    return value if value.tzinfo else value.replace(tzinfo=zone)


def template(title: str, term: str, timezone: str, topics: Sequence[str], first_due: datetime.date) -> str:
    """Return a commented course.toml in which every topic is due, one a week."""
    dues = [first_due + datetime.timedelta(weeks=week) for week in range(len(topics))]
    assignments = "\n".join(f"[assignments.{topic}]\ndue = {due}\n" for topic, due in zip(topics, dues, strict=True))
    return f"""\
title = {msgspec.json.encode(title).decode()}
term = {msgspec.json.encode(term).decode()}
timezone = {msgspec.json.encode(timezone).decode()}       # of the due dates below

# gradebook = "postgresql://user@host/database"    # in place of the file gradebook.db
# attempts = "last"    # which one counts; by default the best, being late taken into account
# training = false     # leaves the training checks out, whose points are then lost to everybody
# limit = 600          # seconds of its own that one submission may use
# seed = 42            # of everything hidden; students find a small one by trying; by default it is drawn, and kept in {SEED}

[late]
percent_per_day = 10   # of the assignment's maximum, for every day that has begun
days = 7               # what comes later than that is not graded
grace_minutes = 10     # that cost nothing

# An assignment is called like its topic, or says topic = "…". `due` is a date, which lasts to its end, or a date with a time.
# `weight` is what one of its points counts in the total, by default 1. attempts, training, limit and late may differ for each.

{assignments}"""
