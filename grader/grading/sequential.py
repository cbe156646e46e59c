"""Deciding over several seeds: a sequential test that stops as soon as one side leads by two.

For a submission that passes one seed with probability p, independently, the lead of passes over failures is a random
walk; stopping at ±2 is Wald's sequential probability ratio test with symmetric hypotheses. Clear submissions need two
seeds, those near the border up to seven.
"""

from collections.abc import Iterable

__all__ = ["LEAD", "MAX_SEEDS", "decision", "pass_probability"]

LEAD = 2
MAX_SEEDS = 7  # odd, so that the majority decides what the lead did not


def decision(outcomes: Iterable[bool]) -> bool | None:
    """Return whether the submission passes, or None while more seeds are needed.

    >>> [decision(outcomes) for outcomes in ([], [True], [True, True], [True, False, False, False])]
    [None, None, True, False]
    """
    outcomes = list(outcomes)
    lead = sum(1 if outcome else -1 for outcome in outcomes)
    if abs(lead) >= LEAD or len(outcomes) >= MAX_SEEDS:
        return lead > 0
    return None


def pass_probability(per_seed: float) -> float:
    """Return the probability that a submission passes which passes each seed independently with probability `per_seed`.

    >>> pass_probability(1.0), round(pass_probability(0.5), 6), pass_probability(0.0)
    (1.0, 0.5, 0.0)
    """

    def walk(outcomes: tuple[bool, ...]) -> float:
        decided = decision(outcomes)
        if decided is not None:
            return float(decided)
        return per_seed * walk((*outcomes, True)) + (1 - per_seed) * walk((*outcomes, False))

    return walk(())
