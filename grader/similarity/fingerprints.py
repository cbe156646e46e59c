"""The fingerprints of a submission: what is left of it once everybody's code is taken away.

Winnowing is that of Schleimer, Wilkerson and Aiken (2003), "Winnowing: local algorithms for document fingerprinting", SIGMOD: of the
hashes of all runs of K tokens, the smallest of every W in a row are kept, so any W + K - 1 tokens in common are found.

Deviation: a run never leaves its statement, so that exchanging statements, or a loop's header, costs none inside the others.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import npfl139
from grader.contract.sources import prerequisites, solution
from grader.similarity.reading import KEPT, Chunk, Statement, chunks, names_defined, statements
from npfl139.catalogue import assignments

__all__ = ["AS_GIVEN", "REST", "Known", "Piece", "fingerprints", "grams", "units"]

K = 4  # tokens of a run
W = 2  # runs of which one is kept
SHORTEST = 3  # tokens of a statement that says anything
AS_GIVEN = b"as given"
REST = ""  # the unit of what belongs to no definition of the assignment
ALIAS = re.compile(r"(?P<target>\w+(?:\.\w+)?)\s*=\s*(?P<name>\w+)\s*\Z")


@dataclass(frozen=True)
class Known:
    """What a topic's students were given, or could look up: it speaks for nothing."""

    names: frozenset[str]  # of its definitions
    methods: frozenset[str]  # units: `f`, `Class.method`
    exercises: frozenset[str]  # those of them that students write
    grams: frozenset[bytes]

    @classmethod
    def of(cls, own: str, others: Iterable[str] = (), exercises: Iterable[str] | None = None) -> "Known":
        """Return what is known of a topic.

        Args:
            own: its solution, in which the assignment is contained.
            others: the library, the solutions that it builds on.
            exercises: what students write of it; None: all.
        """
        texts = (own, *others)
        names = KEPT | frozenset(name for text in texts for name in names_defined(text))
        found = (chunk for text in texts for chunk in chunks(text))
        everything = (gram for chunk in found for one in statements(chunk.text, names) for gram in grams(one))
        methods = frozenset(chunk.name for chunk in chunks(own) if chunk.name)
        return cls(names, methods, methods if exercises is None else methods & frozenset(exercises), frozenset(everything))

    @classmethod
    def of_topic(cls, topic: str) -> "Known":
        """Return what is known of an installed topic.

        Raises:
            ValueError: there is no solution of this name.
        """
        library = sorted(Path(folder) for folder in npfl139.__path__)
        files = [*(path for folder in library for path in sorted(folder.glob("*.py"))), *map(solution, sorted(prerequisites(topic)))]
        assignment = assignments().get(topic)
        exercises = assignment.points if assignment else None
        return cls.of(solution(topic).read_text(encoding="utf-8"), [path.read_text(encoding="utf-8") for path in files], exercises)


@dataclass(frozen=True)
class Piece:
    """A part of a submission that is its author's."""

    unit: str
    chunk: Chunk
    statements: tuple[Statement, ...]


def grams(statement: Statement) -> list[bytes]:
    """Return the hashes of all runs of K tokens; a shorter statement is one run, the shortest are none."""
    tokens = statement.tokens
    if len(tokens) < SHORTEST:
        return []
    return [_hash(tokens[start : start + K]) for start in range(max(1, len(tokens) - K + 1))]


def winnowed(hashes: list[bytes]) -> set[bytes]:
    """Return the smallest of every W hashes in a row."""
    return {min(hashes[start : start + W]) for start in range(max(1, len(hashes) - W + 1))} if hashes else set()


def units(source: str, known: Known) -> dict[str, list[Piece]]:
    """Return the pieces of a submission that are not as they were given, by what they belong to: an exercise and its helpers.

    A helper belongs to every definition of the assignment that names it, directly or through other helpers.
    """
    found = [Piece(chunk.name or REST, chunk, _read(chunk.text, known)) for chunk in chunks(source)]
    helpers = {piece.unit: piece for piece in found if piece.unit and piece.unit not in known.methods}
    by_unit = {piece.unit: [piece] for piece in found if piece.unit in known.methods}  # the last definition counts
    used = set[str]()
    for piece in found:
        alias = ALIAS.fullmatch(piece.chunk.text.strip()) if piece.unit == REST else None
        if alias and alias["target"] in known.methods and alias["name"] in helpers:
            by_unit[alias["target"]] = [helpers[alias["name"]]]
            used.add(alias["name"])
    for pieces in by_unit.values():
        used |= _with_helpers(pieces, helpers)
    by_unit[REST] = [piece for piece in found if piece.unit not in known.methods and piece.unit not in used]
    return by_unit


def fingerprints(pieces: Iterable[Piece], known: Known, is_exercise: bool = True) -> frozenset[bytes]:
    """Return the fingerprints of a unit, without those of what was given; of an exercise, AS_GIVEN alone where there are no others.

    That somebody answers as the reference does is no more than one way to answer, and evidence if next to nobody else does. To leave what
    was given as it is, is none, however many others hand in only what they wrote.
    """
    found = frozenset[bytes]().union(*(_fingerprints(piece.statements) for piece in pieces))
    return found - known.grams or (frozenset((AS_GIVEN,)) if found and is_exercise else frozenset())


def _with_helpers(pieces: list[Piece], helpers: Mapping[str, Piece]) -> set[str]:
    """Append the helpers that the pieces use; return their names."""
    seen = {piece.unit for piece in pieces}
    for piece in pieces:  # grows meanwhile
        named = {name for statement in piece.statements for name in statement.names if name in helpers and name not in seen}
        pieces += [helpers[name] for name in sorted(named)]
        seen |= named
    return seen


@functools.lru_cache(maxsize=20_000)
def _read(text: str, known: Known) -> tuple[Statement, ...]:
    return tuple(statements(text, known.names))


@functools.lru_cache(maxsize=20_000)
def _fingerprints(read: tuple[Statement, ...]) -> frozenset[bytes]:
    return frozenset().union(*(winnowed(grams(statement)) for statement in read))


def _hash(tokens: tuple[str, ...]) -> bytes:
    return hashlib.blake2b("\0".join(tokens).encode(errors="replace"), digest_size=8).digest()
