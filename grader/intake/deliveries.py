"""What goes from an adapter of a learning platform to the gradebook."""

import datetime
from typing import Literal

from grader.intake.contents import Content
from grader.records import Record

__all__ = ["Claim", "Delivery", "TimeSource"]

TimeSource = Literal["platform", "commit", "file", "unknown"]  # where the time of a delivery comes from


class Claim(Record, frozen=True):
    """Who somebody is, as one platform says; the gradebook decides which person that is."""

    system: str  # "moodle", "canvas", "gradescope", "github", "nbgrader", "folder"
    key: str  # what the platform calls the person, stable within one export
    name: str | None = None
    email: str | None = None
    sid: str | None = None  # the student number of the university, where the platform tells it


class Delivery(Record, frozen=True):
    """One attempt that one person, or the members of a team, handed in for one assignment."""

    members: tuple[Claim, ...]  # more than one where a team handed in together
    files: tuple[tuple[str, Content], ...]  # (name as the student gave it, content); empty where there is only a problem
    origin: str  # the folder or file in what was exported, for messages and for feedback under the same name
    team: str | None = None
    topic: str | None = None  # where the names of the files tell it
    submitted_at: datetime.datetime | None = None  # aware
    time_source: TimeSource = "unknown"
    attempt: int | None = None  # counted from 1, where the platform counts
    late: bool | None = None  # where the platform says so
    problem: str | None = None  # why there is no file: a sentence to the student that says what to do
