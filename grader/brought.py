"""What installed distributions bring, ours and anybody's: topics, adapters of platforms, formats of marks."""

import functools
from importlib.metadata import EntryPoint, entry_points

__all__ = ["brought"]


@functools.cache
def brought(group: str, kind: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; `kind` is what a sentence calls one of them.

    Raises:
        ValueError: two distributions bring different ones of the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ValueError(f"two packages bring the {kind} {point.name!r}, {other.value} and {point.value}: uninstall one of them")
    return found
