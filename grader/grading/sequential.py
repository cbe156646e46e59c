"""Deciding over several seeds: a sequential test that passes with a lead of two and fails only with one of three.

For a submission that passes one seed with probability p, independently, the lead of passes over failures is a random walk; stopping it at
two bounds is Wald's sequential probability ratio test, and unequal bounds are unequal errors: to fail what is correct is the worse one. With
ρ = (1 - p) / p a submission fails with probability ρ³ (1 - ρ²) / (1 - ρ⁵), or a little more because the number of seeds is limited. Clear
submissions need two seeds to pass and three to fail.
"""

import functools
from collections.abc import Iterable

__all__ = ["FAIL_LEAD", "MAX_SEEDS", "PASS_LEAD", "decision", "pass_probability"]

PASS_LEAD = 2  # of passes
FAIL_LEAD = 3  # of failures
MAX_SEEDS = 11  # odd, so that the majority decides what no lead did


def decision(outcomes: Iterable[bool]) -> bool | None:
    """Return whether the submission passes, or None while more seeds are needed.

    >>> [decision(outcomes) for outcomes in ([], [True, True], [False, False], [False, False, False], [True, False, True, True])]
    [None, True, None, False, True]
    """
    outcomes = list(outcomes)
    return _decided(2 * sum(outcomes) - len(outcomes), len(outcomes))


def pass_probability(per_seed: float) -> float:
    """Return the probability that a submission passes which passes each seed independently with probability `per_seed`.

    >>> pass_probability(1.0), round(pass_probability(0.5), 3), pass_probability(0.0)
    (1.0, 0.581, 0.0)
    """

    @functools.cache
    def walk(lead: int, seeds: int) -> float:
        decided = _decided(lead, seeds)
        if decided is not None:
            return float(decided)
        return per_seed * walk(lead + 1, seeds + 1) + (1 - per_seed) * walk(lead - 1, seeds + 1)

    return walk(0, 0)


def _decided(lead: int, seeds: int) -> bool | None:
    return lead > 0 if not -FAIL_LEAD < lead < PASS_LEAD or seeds >= MAX_SEEDS else None
