"""Which topics there are: every installed distribution may bring some, through the entry-point group `npfl139.topics`.

An entry point names a package, `ppo = "grader.topics.ppo"`, whose module `checks` defines TOPIC. Only `load` imports that module;
everything else here answers without torch.
"""

import functools
import math
from importlib import import_module
from importlib.metadata import Distribution
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from grader.brought import brought
from grader.contract import sources
from npfl139.catalogue import lecture_order
from npfl139.terminal import suggested

if TYPE_CHECKING:
    from grader.contract.spec import Topic

__all__ = ["GROUP", "available", "distribution", "folder", "load", "package", "place", "prerequisites"]

GROUP = "npfl139.topics"


@functools.cache
def available() -> tuple[str, ...]:
    """Return the names of the topics in lecture order: each after those that it builds on, otherwise by place, then by name.

    Raises:
        ValueError: two distributions bring a topic of the same name.
    """
    names = brought(GROUP, "topic")
    return lecture_order({name: _builds_on(name) for name in names}, {name: place(name) for name in names})


def load(name: str) -> "Topic":
    """Return the declaration of a topic.

    Raises:
        ValueError: there is no topic of this name, or its package is broken.
    """
    where = package(name)
    try:
        topic: Topic = import_module(f"{where}.checks").TOPIC
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the topic {name!r} cannot be loaded from {where}.checks, which must define TOPIC: {error}") from error
    if topic.name != name:
        raise ValueError(f"{where}.checks declares the topic {topic.name!r}, but is registered as {name!r}: give both one name")
    return topic


def package(name: str) -> str:
    """Return the name of the package that holds the checks of a topic.

    Raises:
        ValueError: there is no topic of this name.
    """
    known = brought(GROUP, "topic")
    if name not in known:
        raise ValueError(
            f"there is no topic {name!r}; {suggested(name, known) if known else 'there are none: install the project once more'}"
        )
    return known[name].value


def folder(name: str) -> Path:
    """Return the folder of that package: checks, mistakes, calibrated figures, variants.

    Raises:
        ValueError: there is no topic of this name, or its package is not on the disk.
    """
    where = package(name)
    try:
        spec = find_spec(where)
    except ImportError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the package {where} of the topic {name!r} cannot be found: install or uninstall the topic once more")
    return Path(spec.submodule_search_locations[0])


def place(name: str) -> float:
    """Return PLACE of the topic's package, which places it among the topics that do not build on each other; by default after all."""
    try:
        return float(getattr(import_module(package(name)), "PLACE", math.inf))
    except ImportError:
        return math.inf


def prerequisites(name: str) -> tuple[str, ...]:
    """Return the solutions that a topic's solution builds on, in lecture order.

    Raises:
        ValueError: a solution does not exist.
    """
    needed = sources.prerequisites(name)
    return lecture_order({other: sources.prerequisites(other) for other in needed}, {other: _place_if_known(other) for other in needed})


def distribution(name: str) -> Distribution | None:
    """Return the distribution that brings a topic, None where its installation did not record it.

    Raises:
        ValueError: there is no topic of this name.
    """
    package(name)
    return brought(GROUP, "topic")[name].dist


def _builds_on(name: str) -> frozenset[str]:
    try:
        return sources.prerequisites(name)
    except (ValueError, SyntaxError):  # the topic is broken, which whoever loads it is told
        return frozenset()


def _place_if_known(name: str) -> float:
    return place(name) if name in brought(GROUP, "topic") else math.inf
