import itertools
import math

import pytest

from grader.grading.sequential import AHEAD, MAX_SEEDS, decision, pass_probability


@pytest.mark.parametrize("outcomes", list(itertools.product([True, False], repeat=MAX_SEEDS)))
def test_a_decision_comes_by_the_last_seed_and_never_changes(outcomes):
    decisions = [decision(outcomes[:count]) for count in range(MAX_SEEDS + 1)]
    first = next(count for count, decided in enumerate(decisions) if decided is not None)
    assert first >= AHEAD
    lead = 2 * sum(outcomes[:first]) - first
    assert decisions[first] == (lead > 0)


def test_pass_probability_agrees_with_the_enumeration_of_all_outcomes():
    def played(outcomes):
        return next(decided for count in range(MAX_SEEDS + 1) if (decided := decision(outcomes[:count])) is not None)

    for p in (0.1, 0.37, 0.9):
        total = sum(
            math.prod(p if outcome else 1 - p for outcome in outcomes)
            for outcomes in itertools.product([True, False], repeat=MAX_SEEDS)
            if played(outcomes)
        )
        assert pass_probability(p) == pytest.approx(total, abs=1e-12)
