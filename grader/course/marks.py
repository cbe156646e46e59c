"""What a mark is, as it is shown and exported. It is computed from what the gradebook holds, and never stored."""

import datetime
from typing import Literal

from grader.records import Amount, Number, Record, Result

__all__ = ["Mark", "Person", "State"]

State = Literal["graded", "waiting", "fault", "missing", "excused"]


class Person(Record, frozen=True):
    """Somebody who takes part."""

    name: str
    pseudonym: str  # stands for the person wherever --anonymous is asked for
    email: str | None = None
    sid: str | None = None  # the student number of the university
    group: str | None = None
    keys: dict[str, str] = {}  # what a platform calls the person, by system


class Mark(Record, frozen=True):
    """What one person has for one assignment, and how it came about: max(0, score + adjustment - penalty)."""

    person: Person
    assignment: str
    title: str
    state: State
    points: Amount
    max_points: Amount  # also where nothing was handed in: totals are out of everything that is due
    score: Amount = 0.0  # of the grading that counts
    adjustment: Number = 0.0  # all of a human's together
    penalty: Amount = 0.0  # for being late
    weight: Amount = 1.0
    attempt: int | None = None  # the one that counts, and what it was
    attempts: int = 0
    due: datetime.datetime | None = None  # for this person, an extension included
    submitted_at: datetime.datetime | None = None
    late: datetime.timedelta | None = None
    origin: str | None = None  # the folder in the platform's export, for feedback under the same name
    comments: tuple[str, ...] = ()  # of adjustments, for the person to read
    result: Result | None = None
