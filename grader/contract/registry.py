"""The topics of the unit in lecture order. This is the only place where the order is written."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from grader import topics

if TYPE_CHECKING:  # it imports torch, and whoever only shows or stores results needs the names alone
    from grader.contract.spec import Topic

__all__ = ["ORDER", "available", "folder", "load"]

ORDER = ("newton_fisher", "trpo", "ppo", "transformed_rewards", "r2d2", "retrace", "ngu", "agent57")


def available() -> tuple[str, ...]:
    """Return the names of the topics that have hidden checks, in lecture order."""
    return tuple(name for name in ORDER if folder(name).is_dir())


def folder(name: str) -> Path:
    """Return the folder of a topic: checks, mistakes, calibrated figures, variants."""
    return Path(topics.__file__).parent / name


def load(name: str) -> "Topic":
    """Return the declaration of a topic.

    Raises:
        ValueError: there is no topic of this name.
    """
    if name not in available():
        raise ValueError(f"there is no topic {name!r}; the topics are {', '.join(available())}")
    return import_module(f"grader.topics.{name}.checks").TOPIC
