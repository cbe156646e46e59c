"""Grouping, in the order in which the groups first appear."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

__all__ = ["grouped"]

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Return the rows by their keys.

    >>> grouped(["ppo", "r2d2", "retrace"], lambda name: name[0])
    {'p': ['ppo'], 'r': ['r2d2', 'retrace']}
    """
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
