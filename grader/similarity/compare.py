"""Who wrote the same as whom: for every pair the evidence, of text and of rare mistakes, as the odds that chance alone gives it.

JPlag (Prechelt, Malpohl, Philippsen 2002, "Finding plagiarisms among a set of programs with JPlag", JUCS) also compares normalized tokens
and takes away what was given. It reports the share of a pair's text that is the same. Here that share alone says nothing: short right
answers converge. What counts is how few others have it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from grader.records import Result, Verdict
from grader.similarity.fingerprints import AS_GIVEN, REST, Known, fingerprints, units

__all__ = ["FLAGGED", "Entry", "Evidence", "Pair", "compared", "similar"]

# More than one small thing that two alone have in a class of 300, log(301 / 2). One pair in two hundred has as much by chance, were
# exercises independent; in classes put together at random one or two in a thousand have, see benchmarks.
FLAGGED = math.log(200)
PER_IDEA = 8  # fingerprints, about three lines
COMMON = 1 / 3  # of the class; what more of it have is not looked at, which keeps the lists of the index short
AGAINST = 2.0  # where both wrote something of their own and nothing of it is the same: of what is copied, one in seven looks so


@dataclass(frozen=True)
class Entry:
    """What somebody handed in for a topic."""

    who: str
    topic: str
    source: str
    result: Result | None = None
    earlier: bool = False  # of an earlier year: it says what is rare, and may have been copied from


@dataclass(frozen=True)
class Evidence:
    """What speaks for a pair, or against it, in one exercise."""

    exercise: str  # "" for what belongs to none
    weight: float  # in nats: e^-weight is how often chance gives as much
    share: float  # of what is their own and not common that is the same
    others: int  # who have as much of it
    mistake: str | None = None  # that both made
    others_mistaken: int = 0
    as_given: bool = False  # nothing is their own: both wrote what the reference solution, or the library, has


@dataclass(frozen=True)
class Pair:
    """Two submissions for a topic, and what they have in common that is rare."""

    one: Entry
    other: Entry
    evidence: tuple[Evidence, ...]  # the strongest first
    pairs: int  # that were compared

    @property
    def topic(self) -> str:
        return self.one.topic

    @property
    def weight(self) -> float:
        return math.fsum(each.weight for each in self.evidence)

    @property
    def flagged(self) -> bool:
        return self.weight >= FLAGGED

    @property
    def by_chance(self) -> float:
        """How many of all pairs that were compared would have as much by chance, were exercises and people independent."""
        return min(1.0, math.exp(-self.weight)) * self.pairs


def similar(entries: Iterable[Entry]) -> list[Pair]:
    """Return the pairs of a class, topic by topic as `compared`, the strongest evidence of all first.

    Raises:
        ValueError: a topic has no solution here, so what everybody was given is not known.
    """
    topics: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        topics[entry.topic].append(entry)
    return sorted((pair for topic, own in topics.items() for pair in compared(own, Known.of_topic(topic))), key=_order)


def compared(entries: Sequence[Entry], known: Known) -> list[Pair]:
    """Return the pairs of a topic that have anything rare in common, the strongest evidence first.

    The evidence of an exercise is the larger of two. For text: the share of it that is the same, times the mean of log(class / who has
    it); nobody else's text counts once for every PER_IDEA fingerprints, while what hangs together for many counts once. For a mistake: the
    logarithm of how rare it is. An exercise in which both wrote something of their own that differs counts against the pair. The
    reference's answer is one way to answer like any other, but never against a pair, since rewriting it makes it look like one's own.

    Args:
        entries: one for each person; those of earlier years are not compared with each other.
        known: what everybody was given.
    """
    texts = [
        {unit: fingerprints(pieces, known, unit in known.exercises) for unit, pieces in units(entry.source, known).items()}
        for entry in entries
    ]
    mistakes = [_mistakes(entry.result) for entry in entries]
    exercises = sorted({unit for own in (*texts, *mistakes) for unit in own})
    found: dict[tuple[int, int], dict[str, Evidence]] = defaultdict(dict)
    for exercise in exercises:
        same = _same_text([own.get(exercise, frozenset()) for own in texts])
        wrong = _same_mistakes([own.get(exercise, frozenset()) for own in mistakes])
        for pair in same.keys() | wrong.keys():
            (weight, share, others), (mistake, made) = same.get(pair, (0.0, 0.0, 0)), wrong.get(pair, (None, 0))
            weight = max(weight, _rarity(made, len(entries)) if mistake else 0.0)
            as_given = AS_GIVEN in texts[pair[0]].get(exercise, ()) and share == 1
            found[pair][exercise] = Evidence(exercise, weight, share, others, mistake, max(0, made - 2), as_given)
    now = sum(not entry.earlier for entry in entries)
    count = now * (now - 1) // 2 + now * (len(entries) - now)
    pairs = [
        Pair(entries[one], entries[other], _weighed(texts[one], texts[other], evidence), count)
        for (one, other), evidence in found.items()
        if not (entries[one].earlier and entries[other].earlier)
    ]
    return sorted(pairs, key=_order)


def _order(pair: Pair) -> tuple[float, str, str, str]:
    return -pair.weight, pair.topic, pair.one.who, pair.other.who


def _weighed(
    one: Mapping[str, frozenset[bytes]], other: Mapping[str, frozenset[bytes]], found: Mapping[str, Evidence]
) -> tuple[Evidence, ...]:
    """Return the evidence with what speaks against it; what belongs to no exercise speaks against nothing."""
    both = [exercise for exercise in one.keys() & other.keys() if exercise != REST and _own(one[exercise]) and _own(other[exercise])]
    weighed = dict(found)
    for exercise in both:
        same = found.get(exercise)
        if same is None:
            weighed[exercise] = Evidence(exercise, -AGAINST, 0.0, 0)
        elif same.share < 1:
            weighed[exercise] = replace(same, weight=same.weight - AGAINST * (1 - same.share))
    return tuple(sorted(weighed.values(), key=lambda each: (-each.weight, each.exercise)))


def _own(text: frozenset[bytes]) -> bool:
    return bool(text) and AS_GIVEN not in text


def _rarity(having: float, count: int) -> float:
    return math.log((count + 1) / having)


def _same_text(texts: Sequence[frozenset[bytes]]) -> dict[tuple[int, int], tuple[float, float, int]]:
    """Return (evidence, share, how many others) of the pairs whose texts for an exercise have a rare fingerprint in common."""
    count, having = len(texts), Counter(mark for text in texts for mark in text)
    rarity = {mark: _rarity(number, count) for mark, number in sorted(having.items()) if number <= max(2, COMMON * count)}
    column = {mark: index for index, mark in enumerate(mark for mark in rarity if having[mark] > 1)}
    if not column:
        return {}
    places = np.array([(row, column[mark]) for row, text in enumerate(texts) for mark in text if mark in column])
    index = sparse.csr_array((np.ones(len(places)), (places[:, 0], places[:, 1])), shape=(count, len(column)))
    own = np.array([sum(mark in rarity for mark in text) for text in texts])
    weighted, number = _products(index, np.array([rarity[mark] for mark in column])), _products(index, np.ones(len(column)))
    one, other = weighted.coords
    share = 2 * number.data / (own[one] + own[other])
    mean = weighted.data / number.data
    alone = np.minimum(1, mean / _rarity(2, count)) ** 4  # 1 where nobody else has it, next to nothing where a tenth of the class has
    evidence = share * mean * (1 + alone * np.maximum(0, number.data / PER_IDEA - 1))
    others = np.maximum(0, np.rint((count + 1) * np.exp(-mean)) - 2)
    rows = zip(one.tolist(), other.tolist(), evidence.tolist(), share.tolist(), others.tolist(), strict=True)
    return {(a, b): (weight, same, int(more)) for a, b, weight, same, more in rows}


def _products(index: sparse.csr_array, weights: np.ndarray) -> sparse.coo_array:
    """Return, for every pair of rows with a column in common, once and in the order of the rows, the weight of those columns."""
    product = sparse.triu(index @ sparse.diags_array(weights) @ index.T, 1, format="csr")
    product.sort_indices()
    return product.tocoo()


def _same_mistakes(mistakes: Sequence[frozenset[str]]) -> dict[tuple[int, int], tuple[str | None, int]]:
    """Return (the mistake, how many made it) for the pairs that share one, the rarest if several."""
    made: dict[str, list[int]] = defaultdict(list)
    for row, own in enumerate(mistakes):
        for mistake in own:
            made[mistake].append(row)
    found: dict[tuple[int, int], tuple[str | None, int]] = {}
    for mistake, rows in sorted(made.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(rows) <= max(2, COMMON * len(mistakes)):
            found |= {(one, other): (mistake, len(rows)) for place, one in enumerate(rows) for other in rows[place + 1 :]}
    return found


def _mistakes(result: Result | None) -> Mapping[str, frozenset[str]]:
    """Return, by exercise, the named mistakes, and what is said of answers that are wrong in no named way."""
    found: dict[str, set[str]] = defaultdict(set)
    for check in result.checks if result else ():
        if check.verdict == Verdict.WRONG and (said := check.mistake or check.feedback):
            found[check.exercise].add(said)
    return {exercise: frozenset(said) for exercise, said in found.items()}
