"""Deciding over several seeds: a sequential test that passes a lead of two, and fails only what is three behind.

For a submission that passes one seed with probability p, independently, the lead of passes over failures is a random walk, and stopping
at two bounds is Wald's sequential probability ratio test (1945). The bounds differ, because the errors weigh differently: a wrong
submission that passes here has lost the points of its unit checks, a correct one that fails is wronged. With ρ = (1 - p)/p a submission
fails with probability ρ³ (1 - ρ²) / (1 - ρ⁵), and the limited number of seeds changes that by little: one bad run in seven costs a correct
submission its points in one case of two hundred. Clear submissions need two seeds to pass and three to fail, those near the border up to
eleven.
"""

import functools
from collections.abc import Iterable

__all__ = ["AHEAD", "BEHIND", "MAX_SEEDS", "decision", "pass_probability"]

AHEAD, BEHIND = 2, 3
MAX_SEEDS = 11  # odd, so that the majority decides what the lead did not


def decision(outcomes: Iterable[bool]) -> bool | None:
    """Return whether the submission passes, or None while more seeds are needed.

    >>> [decision(outcomes) for outcomes in ([], [True], [True, True], [False, False], [True, False, False, False, False])]
    [None, None, True, None, False]
    """
    outcomes = list(outcomes)
    return _decided(2 * sum(outcomes) - len(outcomes), len(outcomes))


def pass_probability(per_seed: float) -> float:
    """Return the probability that a submission passes which passes each seed independently with probability `per_seed`.

    >>> pass_probability(1.0), round(pass_probability(0.9), 4), pass_probability(0.0)
    (1.0, 0.9986, 0.0)
    """

    @functools.cache
    def walk(lead: int, seeds: int) -> float:
        decided = _decided(lead, seeds)
        if decided is not None:
            return float(decided)
        return per_seed * walk(lead + 1, seeds + 1) + (1 - per_seed) * walk(lead - 1, seeds + 1)

    return walk(0, 0)


def _decided(lead: int, seeds: int) -> bool | None:
    return lead > 0 if lead >= AHEAD or lead <= -BEHIND or seeds >= MAX_SEEDS else None
