"""The small processes on which other tests and the lectures rely."""

import numpy as np
import torch

from npfl139.tabular import random_policy, random_process


def test_action_values_solve_their_equation():
    rng = np.random.default_rng(0)
    process, policy = random_process(rng, 5, 3, 2, ending=0.2), random_policy(rng, 5, 3)
    q = process.action_values(policy)
    expected = (process.transition * (process.reward + process.discount * (policy * q).sum(1))).sum(2)
    torch.testing.assert_close(q, expected)


def test_random_processes_are_processes():
    process = random_process(np.random.default_rng(1), 6, 2, 3, gamma=0.8, ending=0.3)
    torch.testing.assert_close(process.transition.sum(2), torch.ones(6, 2, dtype=torch.float64))
    assert ((process.transition > 0).sum(2) == 3).all()
    assert set(process.discount.unique().tolist()) == {0.0, 0.8}


def test_policies_are_distributions():
    policy = random_policy(np.random.default_rng(2), 4, 3, concentration=0.1)
    torch.testing.assert_close(policy.sum(1), torch.ones(4, dtype=torch.float64))
    assert (policy > 0).all()


def test_rollouts_follow_the_process():
    rng = np.random.default_rng(3)
    process, policy = random_process(rng, 4, 2, 2, ending=0.2), random_policy(rng, 4, 2)
    steps = process.rollout(policy, 50, 400, rng)
    index = steps.state, steps.action, steps.next_state
    for name in ("reward", "discount"):
        assert torch.equal(getattr(steps, name), getattr(process, name)[index])
    assert (process.transition[index] > 0).all()
    assert torch.equal(steps.same_episode, (steps.discount > 0).double())
    continued = steps.same_episode[:-1] > 0
    assert torch.equal(steps.state[1:][continued], steps.next_state[:-1][continued])
    for state in range(4):
        here = steps.state == state
        share = (steps.action[here] == 0).double().mean()
        tolerance = 5 * (0.25 / here.sum()) ** 0.5  # five standard errors
        assert abs(share - policy[state, 0]) < tolerance
        both = here & (steps.action == 0)
        for successor in range(4):
            share = (steps.next_state[both] == successor).double().mean()
            assert abs(share - process.transition[state, 0, successor]) < 5 * (0.25 / both.sum()) ** 0.5
