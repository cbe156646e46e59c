"""Which of the files in a parcel are for which topic."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from grader.intake.archives import File
from grader.intake.parcels import Parcel
from npfl139.catalogue import topic_of
from npfl139.source import listed
from npfl139.text import printable

__all__ = ["Choice", "chosen", "told"]

MAX_VERSIONS = 3  # different files for one topic that are compared: a notebook, a program made of it
MAX_NAME = 100  # characters of a file's name that messages repeat


@dataclass(frozen=True)
class Choice:
    """What a parcel holds for a topic."""

    topic: str | None  # None where nothing tells it
    filename: str  # of the first file below the path of the export, for messages
    sha256: str  # of the content of the files
    files: tuple[File, ...] = ()  # all of them hold the same program, or the student must choose
    problem: str | None = None  # then there is no file


@dataclass(frozen=True)
class _Recognized:
    file: File
    topic: str | None
    exact: bool  # named as the topic, without more


def told(parcel: Parcel, topics: Sequence[str]) -> tuple[str, ...]:
    """Return the topics that the files are for as far as that is told, in the order of all."""
    found = {recognized.topic for recognized in _recognized(parcel, topics)}
    return tuple(topic for topic in topics if topic in found)


def chosen(parcel: Parcel, topics: Sequence[str], expected: Sequence[str]) -> list[Choice]:
    """Return what is for the expected topics: for each that the files are for, or for each of them what is missing.

    When only one topic is expected, the only file is for it, whatever its name, unless that names another.
    """
    files = _recognized(parcel, topics)
    if parcel.problem is not None:
        return [Choice(topic, _shown(parcel.origin), _sha256(""), problem=parcel.problem) for topic in expected or (parcel.topic,)]
    present = [topic for topic in expected if any(recognized.topic == topic for recognized in files)]
    if present:
        return [_of_topic(topic, [recognized for recognized in files if recognized.topic == topic]) for topic in present]
    if len(expected) == 1 and len(files) == 1 and files[0].topic is None:
        return [_of_topic(expected[0], files)]
    return [_missing(topic, files) for topic in expected]


def undecided(parcel: Parcel, topics: Sequence[str]) -> Choice:
    """Return all that is in a parcel of which nothing tells the topic."""
    files = _recognized(parcel, topics)
    if parcel.problem is None and not files:
        problem: str | None = "there is no .py and no .ipynb file: hand in one"
    else:
        problem = parcel.problem
    choice = _of_topic(None, files) if files else Choice(None, _shown(parcel.origin), _sha256(""))
    return Choice(None, choice.filename, choice.sha256, () if problem else choice.files, problem or choice.problem)


def _recognized(parcel: Parcel, topics: Sequence[str]) -> list[_Recognized]:
    found = []
    for file in parcel.files:
        topic, rest = topic_of(file.name, topics)
        found.append(_Recognized(file, parcel.told.get(file, topic) or parcel.topic, exact=topic is not None and not rest))
    return found


def _of_topic(topic: str | None, files: list[_Recognized]) -> Choice:
    """Return what is for a topic. A notebook and a program made of it are one; otherwise the student must choose."""
    files = [recognized for recognized in files if recognized.exact] or files
    different = {(one.file.content_sha256, PurePath(one.file.name).suffix.lower(), one.file.problem): one.file for one in files}
    versions = list(different.values())
    file = min(versions, key=lambda file: not file.name.lower().endswith(".py"))
    problem = file.problem
    if len(versions) > 1 and (len(versions) > MAX_VERSIONS or any(one.problem for one in versions)):
        problem = f"{listed([_shown(one.file.name) for one in files])} were handed in, and they differ: hand in one of them only"
    sha256 = file.content_sha256 if len(versions) == 1 else _sha256("".join(sorted(one.content_sha256 for one in versions)))
    kept = tuple(one for one in versions if one.content and problem is None)
    return Choice(topic, shown_path(file), sha256, kept, problem and printable(problem, "_"))


def _missing(topic: str, files: list[_Recognized]) -> Choice:
    names = [_shown(one.file.name) for one in files]
    only = f", only {listed(names)}: call the one to be graded so" if files else ": hand it in"
    return Choice(topic, f"{topic}.py", _sha256(""), problem=f"there is no {topic}.py or {topic}.ipynb{only}")


def shown_path(file: File) -> str:
    """Return where a file lies, as messages show it."""
    return "/".join(map(_shown, file.parts))


def _shown(name: str) -> str:
    """Return a name that can be printed; of one that is far too long the beginning and the suffix."""
    name = printable(name, "_")
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 20]}…{PurePath(name).suffix[-19:]}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
