"""Which platform an export is from, and what is in it. Adapters are found by the entry-point group `npfl139.intake`, anybody's like ours.

An entry point names a module with two functions: `recognized(export)` returns why it is from that platform, as words that complete
"taken for moodle, since …", or None; `parcels(export)` returns what each person or team handed in. Recognizing asks all that are registered
in the order of PRIORITY, a number in the module (50 where it says none), and then "folders", which takes whatever is left.
"""

import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from grader.brought import brought
from grader.intake.archives import GIVEN
from grader.intake.choice import Choice, chosen, told, undecided
from grader.intake.deliveries import Delivery
from grader.intake.parcels import Export, NoSubmission, Parcel
from npfl139.terminal import suggested
from npfl139.text import printable

__all__ = ["AUTO", "GROUP", "Adapter", "Recognition", "deliveries", "recognized", "systems", "taken"]

GROUP = "npfl139.intake"
AUTO = "auto"
LAST = "folders"


class Adapter(Protocol):
    """A module that understands what one platform packs."""

    def recognized(self, export: Export) -> str | None: ...

    def parcels(self, export: Export) -> list[Parcel]: ...


@dataclass(frozen=True)
class Recognition:
    """Which platform an export is from."""

    system: str
    why: str


def systems() -> tuple[str, ...]:
    """Return the names of the adapters, in the order in which they are asked.

    Raises:
        ValueError: two distributions bring one of the same name.
    """
    return tuple(sorted(brought(GROUP, "adapter"), key=lambda name: (name == LAST, _priority(name), name)))


def recognized(export: Export) -> Recognition:
    """Return which platform an export is from, and how that is known.

    Raises:
        NoSubmission: all that looks so lies in one folder, which may be a student's, who imitates it to name others.
    """
    for name in systems():
        if why := _adapter(name).recognized(export):
            _refuse_an_imitation(export, name)
            return Recognition(name, why)
    return Recognition(LAST, "")


def _refuse_an_imitation(export: Export, system: str) -> None:
    """Refuse what one student may have made look so, unless the folder around it is called as the platform or the archive calls it."""
    outer, adapter = export.path.stem if export.path.is_file() else export.path.name, _adapter(system)
    inner = export.inside()
    while inner and (inner.path.name == outer or GIVEN.fullmatch(inner.path.name)):
        inner = inner.inside()
    if inner and adapter.recognized(inner):
        unpack = "unpack the archive and " if export.path.is_file() else ""
        raise NoSubmission(
            f"{export.path}: {printable(inner.path.name, '_')} is the only folder and looks like what {system} packs, which a student may "
            f"imitate to name others: if it is that, {unpack}name this folder itself, otherwise let the student hand in the file alone"
        )


def taken(export: Export, system: str = AUTO) -> tuple[Recognition, list[Parcel]]:
    """Return which platform an export is from, and what each person or team handed in.

    Raises:
        NoSubmission: there is no such adapter, or what it needs is not there.
    """
    if system == AUTO:
        recognition = recognized(export)
    elif system in brought(GROUP, "adapter"):
        recognition = Recognition(system, "you say so")
    else:
        raise NoSubmission(f"there is no adapter {system!r}; {suggested(system, (AUTO, *systems()))}")
    return recognition, _adapter(recognition.system).parcels(export)


def deliveries(
    path: Path,
    system: str = AUTO,
    *,
    topics: Sequence[str],
    assignment: str | None = None,
    deadlines: Sequence[datetime.datetime] = (),
    notice: Callable[[str], object] = lambda sentence: None,
) -> list[Delivery]:
    """Return what was handed in, one delivery for each person or team, topic and attempt.

    Args:
        path: a file, folder or zip archive, as the platform packed it, or above it.
        system: one of `systems()`, or "auto".
        topics: the names of all topics, by which files are recognized.
        assignment: the only topic that this was handed in for: a student's only file is for it whatever its name. Otherwise a
            delivery has no topic where nothing tells it.
        deadlines: of a platform that keeps every version, the last one until each of these counts.
        notice: told, in a sentence, what the platform says and nobody understands.

    Raises:
        NoSubmission: the path cannot be read, or is not what the system packs.
    """
    export = Export(Path(os.path.abspath(path)), tuple(topics), assignment, tuple(deadlines), notice)
    _, parcels = taken(export, system)
    everywhere = tuple(dict.fromkeys(topic for parcel in parcels for topic in told(parcel, topics)))
    expected = (assignment,) if assignment else everywhere if len(everywhere) == 1 else ()
    return [_delivery(parcel, choice) for parcel in parcels for choice in _choices(parcel, topics, expected)]


def _choices(parcel: Parcel, topics: Sequence[str], expected: Sequence[str]) -> list[Choice]:
    own = expected or told(parcel, topics)
    return chosen(parcel, topics, own) if own else [undecided(parcel, topics)]


def _delivery(parcel: Parcel, choice: Choice) -> Delivery:
    return Delivery(
        members=parcel.members,
        files=tuple((file.name, file.content) for file in choice.files if file.content),
        origin=parcel.origin.encode(errors="replace").decode(),
        team=parcel.team,
        topic=choice.topic,
        submitted_at=parcel.submitted_at,
        time_source=parcel.time_source,
        attempt=parcel.attempt,
        late=parcel.late,
        problem=choice.problem,
    )


def _adapter(name: str) -> Adapter:
    where = brought(GROUP, "adapter")[name].value
    try:
        return cast(Adapter, import_module(where))
    except ImportError as error:
        raise NoSubmission(f"the adapter {name!r} cannot be loaded from {where}: install or uninstall it once more: {error}") from error


def _priority(name: str) -> float:
    return float(getattr(_adapter(name), "PRIORITY", 50))
