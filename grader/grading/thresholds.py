"""What follows from the scores of the reference and of the catalogued mistakes: a threshold, and how often it errs.

The threshold lies below what the reference reached, on every instruction set, by a margin of MARGIN of the distance between the
reference's median and the worst mistake's. How many of the worst runs of each set are passed over follows from the number of runs:
as many as keep the probability that a correct submission fails there below FALSE_FAIL, with 95 % confidence (the tolerance
limit of Wilks 1941): none of 20, one of 32, two of 42. About one run in fifty of an agent breaks down, and a threshold below it would let
through who learned nothing. Where no mistake was trained yet, the margin is one of the distance to zero.

From the share of seeds that pass follow, by `grader.grading.sequential`, the probability that a correct submission fails and that each
mistake is stopped. All intervals are exact ones (Clopper & Pearson 1934).
"""

import itertools
import math
import statistics
from collections.abc import Iterable

import numpy as np
from msgspec.structs import replace
from scipy.stats import binomtest

from grader.contract.figures import Curve, Figures, Measured, Scores
from grader.grading.sequential import pass_probability

__all__ = ["decided", "interval", "summary"]

MARGIN = 0.05
FALSE_FAIL = 0.005
BAND_QUANTILES = (0.05, 0.5, 0.95)


def decided(figures: Figures) -> Figures:
    """Return the figures with the threshold that follows from the scores, and how often it errs."""
    sets = [_numbers(scores) for scores in figures.reference.values()]
    threshold = _threshold(sets, [_numbers(mistake.scores) for mistake in figures.mistakes.values()])
    failures = [(sum(score < threshold for score in scores), len(scores)) for scores in sets]
    return replace(
        figures,
        threshold=threshold,
        false_fail=max(1 - pass_probability(1 - count / runs) for count, runs in failures),
        false_fail_bound=max(itertools.starmap(_false_fail_bound, failures)),
        mistakes={name: _judged(mistake, threshold) for name, mistake in figures.mistakes.items()},
        band=_band([curve for curves in figures.curves.values() for curve in curves.values()]),
    )


def interval(count: int, trials: int) -> tuple[float, float]:
    """Return the bounds of a probability, each with 95 % confidence, after an event came `count` times in `trials`.

    >>> [round(bound, 4) for bound in interval(0, 20)]    # 1 - 0.05^(1/20)
    [0.0, 0.1391]
    """
    bounds = binomtest(count, trials).proportion_ci(confidence_level=0.9, method="exact")
    return float(bounds.low), float(bounds.high)


def summary(figures: Figures) -> str:
    """Return the figures of one training check in a few lines for the terminal."""
    reference = [score for scores in figures.reference.values() for score in _numbers(scores)]
    runs = ", ".join(f"{len(scores)} on {capability}" for capability, scores in figures.reference.items())
    lines = [
        f"threshold {figures.threshold:.4g}; the reference reached {min(reference):.4g} to {max(reference):.4g} in {runs}",
        f"a correct submission fails with probability {figures.false_fail:.2g} "
        f"(at most {figures.false_fail_bound:.2g} on each instruction set, with 95 % confidence)",
    ]
    stopped = [f"  {name} ({mistake.stopped_low:.2f})" for name, mistake in figures.mistakes.items() if mistake.stops]
    behind = ", with at least the probability behind each:" if stopped else ""
    lines += [f"of {len(figures.mistakes)} mistakes that it may see it stops {len(stopped)}{behind}", *stopped]
    return "\n".join(lines)


def _numbers(scores: Scores) -> list[float]:
    return [-math.inf if score is None else score for score in scores.values()]


def _threshold(sets: list[list[float]], mistakes: list[list[float]]) -> float:
    """Return the threshold, rounded down to three significant digits."""
    finite = [statistics.median(scores) for scores in mistakes if scores and all(map(math.isfinite, scores))]
    median = statistics.median(itertools.chain(*sets))
    worst = min(sorted(scores)[_passed_over(len(scores))] for scores in sets)
    threshold = worst - MARGIN * (median - min(finite, default=min(median, 0.0)))
    digits = 2 - math.floor(math.log10(abs(threshold))) if threshold else 0
    return math.floor(threshold * 10**digits) / 10**digits


def _passed_over(runs: int) -> int:
    """Return how many of so many runs may fail."""
    return sum(1 for _ in itertools.takewhile(lambda failures: _false_fail_bound(failures, runs) <= FALSE_FAIL, range(1, runs)))


def _false_fail_bound(failures: int, runs: int) -> float:
    """Return how probable it is at most, with 95 % confidence, that a correct submission fails."""
    return 1 - pass_probability(1 - interval(failures, runs)[1])


def _judged(mistake: Measured, threshold: float) -> Measured:
    scores = _numbers(mistake.scores)
    if not scores:
        return mistake
    passed = sum(score >= threshold for score in scores)
    low, high = interval(passed, len(scores))
    stopped, stopped_low, stopped_high = (1 - pass_probability(share) for share in (passed / len(scores), high, low))
    return replace(mistake, stopped=stopped, stopped_low=stopped_low, stopped_high=stopped_high)


def _band(curves: Iterable[Curve]) -> list[list[float]]:
    """Return [steps, low, median, high] where every curve has begun, interpolated on the steps of the first curve."""
    arrays = [np.array(curve) for curve in curves if curve]
    if not arrays:
        return []
    grid = [steps for steps in arrays[0][:, 0] if all(curve[0, 0] <= steps for curve in arrays)]
    rows = np.array([np.interp(grid, curve[:, 0], curve[:, 1]) for curve in arrays])
    return [[int(steps), *np.round(np.quantile(rows[:, column], BAND_QUANTILES), 4).tolist()] for column, steps in enumerate(grid)]
