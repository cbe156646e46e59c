"""What being late means and costs."""

import datetime
import math
from typing import Protocol

from grader.course.models import Submission
from grader.course.settings import Late

__all__ = ["NOT_KNOWN", "Handed", "in_order", "is_too_late", "lateness", "lateness_text", "penalty"]

RELIABLE = ("platform", "commit")  # a file's own time is that of a download, so that nobody loses a point by it
NOT_KNOWN = datetime.timedelta(seconds=1)  # where a platform says that it is late, and not how much


class Handed(Protocol):
    """What is known of when something was handed in."""

    @property
    def submitted_at(self) -> datetime.datetime | None: ...

    @property
    def time_source(self) -> str: ...

    @property
    def late(self) -> bool | None: ...


def in_order(submission: Submission) -> tuple[datetime.datetime, int, int]:
    """Return what attempts are sorted by: when each was handed in, or else taken in."""
    return submission.submitted_at or submission.taken_in_at, submission.attempt or 0, submission.id


def lateness(handed: Handed, due: datetime.datetime, late: Late) -> datetime.timedelta | None:
    """Return by how much something came late, None where it did not."""
    if handed.submitted_at is None or handed.time_source not in RELIABLE:
        return NOT_KNOWN if handed.late else None
    after = handed.submitted_at - due
    return after if after > datetime.timedelta(minutes=late.grace_minutes) else None


def is_too_late(after: datetime.timedelta | None, late: Late) -> bool:
    """Return whether it does not count at all."""
    return after is not None and after > datetime.timedelta(days=late.days) + datetime.timedelta(minutes=late.grace_minutes)


def penalty(after: datetime.timedelta | None, late: Late, max_points: float) -> float:
    """Return the points that being late costs: a part of the maximum for every day that has begun."""
    if after is None:
        return 0.0
    days = math.ceil(after / datetime.timedelta(days=1))
    return max_points * min(100.0, days * late.percent_per_day) / 100


def lateness_text(after: datetime.timedelta | None) -> str:
    """Return by how much something is late, as people say it.

    >>> [lateness_text(datetime.timedelta(hours=hours)) for hours in (0.25, 2, 51.5)], lateness_text(None)
    (['15 min late', '2 h late', '2 d 3 h late'], 'on time')
    """
    if after is None:
        return "on time"
    if after == NOT_KNOWN:
        return "late"
    minutes = math.ceil(after / datetime.timedelta(minutes=1))
    days, hours = divmod(minutes // 60, 24)
    amounts = ((days, "d"), (hours, "h")) if days else ((hours, "h"), (minutes % 60, "min"))
    return f"{' '.join(f'{amount} {unit}' for amount, unit in amounts if amount)} late"
