import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.grading.sequential import AHEAD, BEHIND, MAX_SEEDS, decision, pass_probability
from grader.grading.thresholds import FALSE_FAIL, interval


def test_a_decision_comes_with_a_lead_or_with_the_last_seed_by_majority():
    for outcomes in itertools.product([True, False], repeat=MAX_SEEDS):
        leads = [2 * sum(outcomes[:count]) - count for count in range(MAX_SEEDS + 1)]
        last = next((count for count, lead in enumerate(leads) if lead in (AHEAD, -BEHIND)), MAX_SEEDS)
        assert all(decision(outcomes[:count]) is None for count in range(last))
        assert decision(outcomes[:last]) == (sum(outcomes[:last]) > last / 2)


def test_clear_submissions_need_two_seeds_to_pass_and_three_to_fail():
    assert decision([True]) is None and decision([True, True]) is True
    assert decision([False, False]) is None and decision([False, False, False]) is False


def test_pass_probability_agrees_with_the_enumeration_of_all_outcomes():
    def passes(outcomes):
        return next(decided for count in range(MAX_SEEDS + 1) if (decided := decision(outcomes[:count])) is not None)

    for p in (0.1, 0.37, 0.9):
        total = sum(
            math.prod(p if outcome else 1 - p for outcome in outcomes)
            for outcomes in itertools.product([True, False], repeat=MAX_SEEDS)
            if passes(outcomes)
        )
        assert pass_probability(p) == pytest.approx(total, abs=1e-12)


def fails_without_a_last_seed(p):
    odds = (1 - p) / p
    return odds**BEHIND * (1 - odds**AHEAD) / (1 - odds ** (AHEAD + BEHIND))


@given(st.floats(0.85, 0.99))
def test_the_last_seed_changes_little_for_who_mostly_passes(p):
    assert 1 - pass_probability(p) == pytest.approx(fails_without_a_last_seed(p), rel=0.15)


@given(st.floats(0.01, 0.15))
def test_the_last_seed_changes_little_for_who_mostly_fails(p):
    assert 1 - pass_probability(p) == pytest.approx(fails_without_a_last_seed(p), rel=0.01)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_who_passes_more_seeds_passes_more_often(p, other):
    low, high = sorted((p, other))
    assert pass_probability(low) <= pass_probability(high) + 1e-12


@pytest.mark.parametrize(("failures", "seeds"), [(0, 20), (1, 32), (2, 42)])
def test_so_many_seeds_show_that_a_correct_submission_hardly_ever_fails(failures, seeds):
    def bound(trials):
        return 1 - pass_probability(1 - interval(failures, trials)[1])

    assert bound(seeds) <= FALSE_FAIL < bound(seeds - 1)
