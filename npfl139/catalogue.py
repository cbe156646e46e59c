"""What assignments there are: read from the folder `assignments/`, which `npfl139 release` generates."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

__all__ = ["Assignment", "CatalogueError", "assignment", "assignments", "topic_of"]

INDEX = "topics.json"


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
    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / f"{self.name}.py"

    @property
    def notebook(self) -> Path:
        return self.folder / f"{self.name}.ipynb"

    @property
    def max_score(self) -> float:
        return sum(self.points.values()) + self.training_points


def assignments() -> dict[str, Assignment]:
    """Return the assignments by name, in lecture order.

    They lie next to the package (in a clone or a student bundle, where the package is installed with `pip install -e`), or in
    the current directory or one above it.

    Raises:
        CatalogueError: they lie in neither place.
    """
    here = Path.cwd()
    for root in (Path(__file__).resolve().parent.parent, here, *here.parents):
        index = root / "assignments" / INDEX
        if index.exists():
            entries = json.loads(index.read_text(encoding="utf-8"))
            return {name: _assignment(name, entry, index.parent) for name, entry in entries.items()}
    raise CatalogueError("there is no folder assignments/ here: run the command in the folder that holds it")


def assignment(name: str) -> Assignment:
    """Return the assignment of a topic.

    Raises:
        CatalogueError: there is none.
    """
    known = assignments()
    if name not in known:
        raise CatalogueError(f"there is no assignment {name!r}; there are {', '.join(known)}")
    return known[name]


def topic_of(filename: str, topics: Iterable[str]) -> tuple[str | None, str]:
    """Return the topic that a file's name tells, None if it tells none, and what else it tells.

    >>> topic_of("ppo.py", ["trpo", "ppo"]), topic_of("Jan Novák PPO.ipynb", ["trpo", "ppo"]), topic_of("lunar.py", ["trpo", "ppo"])
    (('ppo', ''), ('ppo', 'Jan Novák'), (None, ''))
    """
    for topic in topics:
        word = topic.replace("_", "[-_ ]?")
        match = re.fullmatch(rf"(?:(?P<before>.+)[-_. ])?{word}(?:[-_. ](?P<after>.+))?", PurePath(filename).stem, re.IGNORECASE)
        if match:
            return topic, match["before"] or match["after"] or ""
    return None, ""


def _assignment(name: str, entry: dict, folder: Path) -> Assignment:
    return Assignment(name, entry["title"], entry["points"], entry["training_points"], tuple(entry["prerequisites"]), folder)
