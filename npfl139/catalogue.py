"""What assignments there are: read from folders `assignments/`, which `npfl139 release` generates."""

import json
import math
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from npfl139.terminal import suggested

__all__ = ["Assignment", "CatalogueError", "assignment", "assignments", "lecture_order", "topic_of", "topics_from"]


class CatalogueError(ValueError):
    """There is no such assignment. The message is one sentence that says what there is."""


@dataclass(frozen=True)
class Assignment:
    """One topic as its students see it."""

    name: str
    title: str
    points: dict[str, float]  # by exercise, in the order of the file
    training_points: float  # of the training checks
    prerequisites: tuple[str, ...]
    place: float  # among the assignments that do not build on each other
    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / f"{self.name}.py"

    @property
    def notebook(self) -> Path:
        return self.folder / f"{self.name}.ipynb"

    @property
    def lecture(self) -> Path:
        """The source of the lecture, which a topic has in lectures/, beside assignments/."""
        return self.folder.parent / "lectures" / f"{self.name}.md"

    @property
    def checkpoint(self) -> Path:
        """The trained agent to watch, which not every topic has."""
        return self.folder / f"{self.name}.safetensors"

    @property
    def has_agent(self) -> bool:
        """Whether there is something to train."""
        return "\ndef train(" in self.program.read_text(encoding="utf-8")

    @property
    def film(self) -> Path:
        """What the reference shows, to watch where its solution is not at hand."""
        return self.folder / f"{self.name}.webp"

    @property
    def max_score(self) -> float:
        return sum(self.points.values()) + self.training_points


def assignments() -> dict[str, Assignment]:
    """Return the assignments by name, in lecture order.

    They lie in folders `assignments/`, one `<topic>.json` each: next to the package (in a clone or a student bundle, where it is
    installed with `pip install -e`), wherever else Python finds packages (of other distributions), and in the current directory or
    one above it. The first one of a name counts.

    Raises:
        CatalogueError: there is none.
    """
    found: dict[str, Assignment] = {}
    for root in _roots():
        for path in sorted((root / "assignments").glob("*.json")):
            item = _read(path)
            if item is not None:
                found.setdefault(item.name, item)
    if not found:
        raise CatalogueError("there is no folder assignments/ here: run the command in the folder that holds it")
    order = lecture_order({name: item.prerequisites for name, item in found.items()}, {name: item.place for name, item in found.items()})
    return {name: found[name] for name in order}


def assignment(name: str) -> Assignment:
    """Return the assignment of a topic.

    Raises:
        CatalogueError: there is none.
    """
    known = assignments()
    if name not in known:
        raise CatalogueError(f"there is no assignment {name!r}; {suggested(name, known)}")
    return known[name]


def topics_from(beginning: str) -> list[str]:
    """Return the topics that the tab key completes."""
    return [name for name in assignments() if name.startswith(beginning)]


def lecture_order(prerequisites: Mapping[str, Collection[str]], place: Mapping[str, float]) -> tuple[str, ...]:
    """Return the names so that each comes after those that it builds on, otherwise by place, then by name.

    >>> lecture_order({"b": [], "a": [], "early": ["b"]}, {"b": 3, "a": 3, "early": 1})
    ('a', 'b', 'early')
    """
    waiting, ordered = sorted(prerequisites, key=lambda name: (place[name], name)), []
    while waiting:
        ready = (name for name in waiting if not set(prerequisites[name]) & set(waiting))
        ordered.append(next(ready, waiting[0]))  # in a circle, which cannot be imported anyway, somebody has to begin
        waiting.remove(ordered[-1])
    return tuple(ordered)


def topic_of(filename: str, topics: Iterable[str]) -> tuple[str | None, str]:
    """Return the topic that a file's name tells, None if it tells none or several, and what else it tells.

    >>> topic_of("ppo.py", ["trpo", "ppo"]), topic_of("Jan Novák PPO.ipynb", ["trpo", "ppo"]), topic_of("lunar.py", ["trpo", "ppo"])
    (('ppo', ''), ('ppo', 'Jan Novák'), (None, ''))
    >>> topic_of("ppo1.py", ["ppo"]), topic_of("my_ppo_final (2).py", ["ppo"]), topic_of("trpo or ppo.py", ["trpo", "ppo"])
    (('ppo', '1'), ('ppo', 'my'), (None, ''))
    >>> topic_of("off_policy.py", ["policy", "off_policy"])
    ('off_policy', '')
    """
    found: dict[str, re.Match] = {}
    for topic in topics:
        word = topic.replace("_", "[-_ ]?")
        pattern = rf"(?:(?P<before>.+)[-_. ])?{word}(?P<copy>\d*(?:\(\d+\))?)(?:[-_. ](?P<after>.+))?"
        match = re.fullmatch(pattern, PurePath(filename).stem, re.IGNORECASE)
        if match:
            found[topic] = match
    told = [topic for topic in found if not any(topic in other for other in found if other != topic)]
    if len(told) != 1:
        return None, ""
    match = found[told[0]]
    return told[0], match["before"] or match["after"] or match["copy"]


def _roots() -> list[Path]:
    here = Path.cwd()
    return [Path(__file__).resolve().parent.parent, *map(Path, sys.path), here, *here.parents]


def _read(path: Path) -> Assignment | None:
    """Return the assignment that a file describes; None where it is some other JSON, as any folder of this name may hold."""
    try:
        entry = json.loads(path.read_bytes())
        return Assignment(
            name=path.stem,
            title=entry["title"],
            points=entry["points"],
            training_points=entry["training_points"],
            prerequisites=tuple(entry["prerequisites"]),
            place=entry.get("place", math.inf),
            folder=path.parent,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
