"""The page that puts alike submissions side by side, for a human to judge."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup, escape

from grader.show.report import environment
from grader.similarity.compare import Entry, Evidence, Pair
from grader.similarity.fingerprints import REST, Known, Piece, grams, units
from grader.similarity.reading import without_comments
from npfl139.text import printable

__all__ = ["NO_PROOF", "Listed", "anonymous", "chance", "for_it", "listed", "similarity_page", "summary"]

NO_PROOF = (
    "Likeness is no proof: two people may have read the same source, learned together as they were allowed to, or thought alike; "
    "this list says where to look and ask, never what happened or who copied from whom."
)
COLORS = 6
ALIKE = 0.5  # of two statements' runs of tokens that are the same
LONG = 6  # lines in a row that are not alike, of which only the ends are shown
MOST = 20  # places of one side that a run of tokens is looked for in: who repeats a line ten thousand times costs no more
PAGES = 60  # pairs that are shown side by side


@dataclass(frozen=True)
class Listed:
    """A pair without its programs."""

    one: str
    one_earlier: bool  # handed in in an earlier year
    other: str
    other_earlier: bool
    topic: str
    by_chance: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Line:
    """A line of a submission, and the number of the piece that it belongs to, 0 for none."""

    number: int
    text: str
    piece: int


@dataclass(frozen=True)
class Block:
    """Lines in a row that belong to one piece, or to none."""

    piece: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Both:
    """An exercise as both wrote it."""

    evidence: Evidence
    one: tuple[Block, ...]
    other: tuple[Block, ...]


@dataclass(frozen=True)
class Shown:
    """A pair, side by side."""

    pair: Pair
    exercises: tuple[Both, ...]
    pieces: int  # counted from 1 over all exercises
    also: tuple[str, ...]  # other topics in which the same two are flagged


def similarity_page(pairs: Iterable[Pair]) -> str:
    """Return the page of the flagged pairs: a list, and the strongest side by side."""
    flagged = [pair for pair in pairs if pair.flagged]
    topics = defaultdict(list)
    for pair in flagged:
        topics[_people(pair)].append(pair.topic)
    known = {topic: Known.of_topic(topic) for topic in {pair.topic for pair in flagged}}
    shown = []
    for place, pair in enumerate(flagged):
        exercises, pieces = _side_by_side(pair, known[pair.topic]) if place < PAGES else ((), 0)
        shown.append(Shown(pair, exercises, pieces, tuple(topic for topic in topics[_people(pair)] if topic != pair.topic)))
    template = environment(Path(__file__).parent / "templates").get_template("similarity.html")
    return template.render(
        pairs=shown, code=_code, for_it=for_it, where=where, summary=summary, LONG=LONG, chance=chance, no_proof=NO_PROOF, colors=COLORS
    )


def listed(pair: Pair) -> Listed:
    """Return what a list says of a pair."""
    return Listed(pair.one.who, pair.one.earlier, pair.other.who, pair.other.earlier, pair.topic, pair.by_chance, pair.evidence)


def anonymous(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with numbers for names, in the order of the names, and without comments, which may hold names."""
    numbers = {who: place + 1 for place, who in enumerate(sorted({entry.who for entry in entries}))}
    return [replace(entry, who=f"person {numbers[entry.who]}", source=without_comments(entry.source)) for entry in entries]


def for_it(evidence: Evidence) -> str:
    """Return what speaks for a pair in one exercise, or against it, as a sentence without its subject."""
    said = []
    if evidence.as_given:
        said.append(f"both wrote it as the reference solution does, as did {evidence.others or 'no'} others")
    elif evidence.share >= 0.05:
        others = f"{evidence.others} others have as much of it" if evidence.others > 1 else "next to nobody else has it"
        said.append(f"{100 * evidence.share:.0f} % of what is their own is the same; {others}")
    if evidence.mistake:
        others = f"{evidence.others_mistaken} others" if evidence.others_mistaken > 1 else "next to nobody else"
        said.append(f"both answer as one would who makes this mistake, as do {others}: {evidence.mistake}")
    return "; ".join(said) or "each wrote something else"


def where(evidence: Evidence) -> str:
    """Return what a piece of evidence is about."""
    return evidence.exercise or "outside the exercises"


def summary(pair: Pair | Listed) -> str:
    """Return what speaks for a pair, in one line: in how many exercises, and the strongest."""
    same = sum(each.share >= ALIKE for each in pair.evidence)
    first = pair.evidence[0]
    return f"alike in {same} of {len(pair.evidence)} exercises; in `{where(first)}`, {for_it(first)}"


def chance(pair: Pair | Listed) -> str:
    """Return how many pairs of this class would be as alike by chance.

    >>> from types import SimpleNamespace
    >>> [chance(SimpleNamespace(by_chance=number)) for number in (1e-9, 0.034, 7.2)]
    ['fewer than 0.01', '0.03', '7']
    """
    number = pair.by_chance
    return "fewer than 0.01" if number < 0.01 else f"{number:.2f}" if number < 1 else f"{number:.0f}"


def _people(pair: Pair) -> tuple[str, str]:
    first, second = sorted((pair.one.who, pair.other.who))
    return first, second


def _side_by_side(pair: Pair, known: Known) -> tuple[tuple[Both, ...], int]:
    one, other = units(pair.one.source, known), units(pair.other.source, known)
    found, pieces = list[Both](), 0
    for evidence in pair.evidence:
        if evidence.weight > 0 and evidence.exercise in one and evidence.exercise in other:
            left, right = one[evidence.exercise], other[evidence.exercise]
            matched = _matched(left, right)
            first = _blocks(left, {pieces + place: run for place, (run, _) in enumerate(matched, 1)}, evidence.exercise == REST)
            second = _blocks(right, {pieces + place: run for place, (_, run) in enumerate(matched, 1)}, evidence.exercise == REST)
            pieces += len(matched)
            found.append(Both(evidence, first, second))
    return tuple(found), pieces


Place = tuple[int, int]  # (piece of the unit, statement in it)


def _matched(one: Sequence[Piece], other: Sequence[Piece]) -> list[tuple[list[Place], list[Place]]]:
    """Return the runs of statements that say the same on both sides, in the order of the first side."""
    left, right = _places(one), _places(other)
    by_gram: dict[bytes, list[Place]] = defaultdict(list)
    for place, hashes in right.items():
        for mark in hashes:
            by_gram[mark].append(place)
    pairs = []
    for place, hashes in left.items():
        shared = Counter(there for mark in hashes for there in by_gram[mark][:MOST])
        pairs += [(2 * count / (len(hashes) + len(right[there])), place, there) for there, count in shared.items()]
    taken: dict[Place, Place] = {}
    used = set[Place]()
    for likeness, here, there in sorted(pairs, key=lambda pair: (-pair[0], abs(pair[1][1] - pair[2][1]), pair[1:])):
        if likeness >= ALIKE and here not in taken and there not in used:
            taken[here] = there
            used.add(there)
    runs: list[tuple[list[Place], list[Place]]] = []
    for here in sorted(taken):
        there = taken[here]
        if runs and (here[0], here[1] - 1) == runs[-1][0][-1] and (there[0], there[1] - 1) == runs[-1][1][-1]:
            runs[-1][0].append(here)
            runs[-1][1].append(there)
        else:
            runs.append(([here], [there]))
    return runs


def _places(pieces: Sequence[Piece]) -> dict[Place, set[bytes]]:
    found = {(at, index): set(grams(statement)) for at, piece in enumerate(pieces) for index, statement in enumerate(piece.statements)}
    return {place: hashes for place, hashes in found.items() if hashes}


def _blocks(pieces: Sequence[Piece], runs: Mapping[int, Sequence[Place]], only_matched: bool) -> tuple[Block, ...]:
    """Return the lines of a side in blocks; a run of statements, with the lines between them, is one."""
    blocks: list[Block] = []
    for at, piece in enumerate(pieces):
        own = {number: run for number, run in runs.items() if run[0][0] == at}
        if only_matched and not own:
            continue
        number_of: dict[int, int] = {}
        for number, run in own.items():
            first, last = piece.statements[run[0][1]], piece.statements[run[-1][1]]
            number_of |= dict.fromkeys(range(first.first, last.last + 1), number)
        rows = enumerate(piece.chunk.text.rstrip().split("\n"))
        lines = [Line(piece.chunk.line + row, text, number_of.get(row, 0)) for row, text in rows]
        blocks += [Block(number, tuple(together)) for number, together in itertools.groupby(lines, lambda line: line.piece)]
    return tuple(blocks)


def _code(text: str) -> Markup:
    return escape(printable(text.expandtabs()))
