"""What a mark rests on, as hashes: equal hashes mean that grading again would only repeat the result.

They cover what decides a mark and nothing else: editing pages, commands or how submissions are taken in regrades nothing.
"""

import functools
import hashlib
import io
import os
import tokenize
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import grader
import npfl139
from grader.contract import sources
from grader.contract.registry import folder
from grader.records import Basis, Options, Submission

__all__ = ["basis_of", "engine_sha256", "topic_sha256", "versions"]

ROOMS = ("inside", "contract", "grading")  # of this package
VERSIONS = ("torch", "numpy", "gymnasium")
IGNORED = ("__pycache__", ".")  # what the names of files that decide nothing begin with


def basis_of(submission: Submission, options: Options) -> Basis:
    """Return what the mark of a submission rests on."""
    return Basis(
        submission_sha256=submission.sha256,
        engine_sha256=_engine(),
        topic_sha256=_topic(submission.topic),
        seed_sha256=options.seed_sha256,
        training=options.training,
        sandbox=options.sandbox,
    )


def versions() -> dict[str, str]:
    """Return the versions of the packages that compute; none of them is imported for that."""
    return {name: version(name) for name in VERSIONS}


def engine_sha256(package: Path, library: Path, numbers: Mapping[str, str]) -> str:
    """Return the hash of what decides the marks of every topic.

    Args:
        package: the folder of the grader, of which the rooms that decide are read.
        library: the folder of the students' library.
        numbers: the versions of the packages that compute, by name.
    """
    folders = {room: package / room for room in ROOMS} | {"library": library}
    contents = [(f"{name}/{path}", content) for name, root in folders.items() for path, content in _contents(root)]
    return _hash([*contents, *((name, number.encode()) for name, number in sorted(numbers.items()))])


def topic_sha256(topic: Path, answers: Iterable[Path]) -> str:
    """Return the hash of what decides the marks of one topic.

    Args:
        topic: the folder of the topic: its checks, mistakes and figures.
        answers: its solution and those that it builds on.
    """
    return _hash([*_contents(topic), *((f"solutions/{path.name}", _content(path)) for path in answers)])


def _contents(root: Path) -> list[tuple[str, bytes]]:
    """Return (path, content) of the files below a folder, in the order of their paths, which are the same on every system."""
    files = []
    for directory, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(IGNORED)]
        files += [Path(directory) / name for name in names if not name.startswith(IGNORED)]
    return sorted((path.relative_to(root).as_posix(), _content(path)) for path in files)


def _content(path: Path) -> bytes:
    """Return what a file says: a program's text, however it is encoded and its lines end; anything else as it is."""
    content = path.read_bytes()
    if path.suffix != ".py":
        return content
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return "\n".join(content.decode(encoding).splitlines()).encode()


def _hash(contents: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in contents:
        for part in (name.encode(), content):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


@functools.cache
def _engine() -> str:
    return engine_sha256(Path(grader.__file__).parent, Path(npfl139.__file__).parent, versions())


@functools.cache
def _topic(name: str) -> str:
    return topic_sha256(folder(name), map(sources.solution, sorted({name, *sources.prerequisites(name)})))
