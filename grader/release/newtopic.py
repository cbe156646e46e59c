"""Writes a new topic: a copy of the complete small one in `template/` under another name."""

import keyword
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from grader.contract.registry import available

__all__ = ["TopicError", "new_topic"]

TEMPLATE = "example_topic"
ITS_OWN_CACHES = ("__pycache__", ".pytest_cache", "build")


class TopicError(ValueError):
    """The topic cannot be written. The message is one sentence that says what to do."""


def new_topic(name: str, folder: Path) -> None:
    """Write a complete topic as a package that can be installed.

    Raises:
        TopicError: the name cannot be a topic's or is one's already, or the folder cannot be written or is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise TopicError(f"{name!r} cannot be the name of a topic: it is a module's name, small letters, digits and _, as in off_policy")
    if name in available():
        raise TopicError(f"there is a topic {name} already: take another name, or uninstall it first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TopicError(f"{folder} is not an empty folder: name another one")
    try:
        for path, text in _template():
            target = folder / _renamed(path.as_posix(), name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_renamed(text, name).encode())
    except OSError as error:
        raise TopicError(f"cannot write {folder}: {error.strerror}") from error


def _template() -> Iterator[tuple[Path, str]]:
    """Yield the files of the template, by their paths within it."""
    root = Path(str(files("grader") / "release" / "template"))
    for path in sorted(root.rglob("*")):
        if path.is_file() and not set(path.parts) & set(ITS_OWN_CACHES) and ".egg-info" not in str(path):
            yield path.relative_to(root), path.read_text(encoding="utf-8")


def _renamed(text: str, name: str) -> str:
    """Return the text with the name of the template's topic, in each of its spellings, replaced.

    >>> _renamed("npfl139-example-topic: # Example topic, npfl139_example_topic", "off_policy")
    'npfl139-off-policy: # Off policy, npfl139_off_policy'
    """
    title = name.replace("_", " ")
    spellings = {TEMPLATE: name, "example-topic": name.replace("_", "-"), "Example topic": title[0].upper() + title[1:]}
    for old, new in spellings.items():
        text = text.replace(old, new)
    return text
