"""What the transformation promises: digits, the three propositions, and what the agent makes of them."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from npfl139 import envs
from npfl139.envs import treasure
from npfl139.runs import MemoryMonitor
from npfl139.tabular import random_process
from solutions import transformed_rewards
from solutions.transformed_rewards import (
    DQN,
    DQNConfig,
    bellman_operator,
    contraction_bound,
    double_q_value,
    fixed_point,
    rescale,
    rescale_inverse,
    transformed_bellman_operator,
    transformed_n_step_targets,
)

EPSILONS = (1e-3, 1e-2, 1e-1)
MEASURED_ACCURACY = 6e-7  # relative, in float32; on this grid 2.1e-7 for h, 3.9e-7 for its inverse, 5.1e-7 for both in turn


def pair(epsilon):
    return lambda x: rescale(x, epsilon), lambda x: rescale_inverse(x, epsilon)


def printed_inverse(x, epsilon):
    return x.sign() * (((torch.sqrt(1 + 4 * epsilon * (x.abs() + 1 + epsilon)) - 1) / (2 * epsilon)) ** 2 - 1)


def magnitudes(low=-6, high=6, dtype=torch.float32):
    """Return numbers of both signs, evenly spread over the powers of ten."""
    size = 10 ** torch.linspace(low, high, 20_001, dtype=torch.float64)
    return torch.cat([-size, size]).to(dtype)


def relative_error(actual, expected):
    return ((actual.double() - expected) / expected).abs().max().item()


def process_of(seed, states=6, actions=3, successors=3, gamma=0.9, scale=5.0):
    """Return a random process; `successors=1` makes it deterministic."""
    return random_process(np.random.default_rng(seed), states, actions, successors, gamma, ending=0.1, reward_scale=scale)


def optimum(process):
    start = torch.zeros(process[0].shape[:2], dtype=torch.float64)
    return fixed_point(lambda q: bellman_operator(q, *process), start, 1e-12, 1000)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_float32_keeps_its_digits(epsilon):
    x = magnitudes()
    exact = rescale(x.double(), epsilon)
    assert relative_error(rescale(x, epsilon), exact) < MEASURED_ACCURACY
    y = exact.float()
    assert relative_error(rescale_inverse(y, epsilon), rescale_inverse(y.double(), epsilon)) < MEASURED_ACCURACY
    assert relative_error(rescale_inverse(rescale(x, epsilon), epsilon), x.double()) < MEASURED_ACCURACY


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_forms_that_do_not_cancel_equal_the_printed_ones(epsilon):
    x = magnitudes(-2, 6, torch.float64)
    torch.testing.assert_close(rescale(x, epsilon), x.sign() * ((x.abs() + 1).sqrt() - 1) + epsilon * x, rtol=1e-12, atol=0)
    torch.testing.assert_close(rescale_inverse(x, epsilon), printed_inverse(x, epsilon), rtol=1e-9, atol=0)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_printed_inverse_does_not_keep_them(epsilon):
    x = magnitudes(-3, 0)
    y = rescale(x.double(), epsilon).float()
    assert relative_error(printed_inverse(y, epsilon), rescale_inverse(y.double(), epsilon)) > 1e-4


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_slopes_at_zero_and_far_away(epsilon):
    x = torch.tensor([0.0, 1e12], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(rescale(x, epsilon).sum(), x)
    torch.testing.assert_close(slope, torch.tensor([0.5 + epsilon, epsilon], dtype=torch.float64), rtol=1e-3, atol=0)
    (slope,) = torch.autograd.grad(rescale_inverse(x, epsilon)[0], x)
    assert slope[0].item() == pytest.approx(1 / (0.5 + epsilon))


@pytest.mark.parametrize("seed", range(3))
def test_scaling_the_values_is_scaling_the_rewards(seed):
    transition, reward, discount = process_of(seed)
    alpha = 0.05
    limit = fixed_point(
        lambda q: transformed_bellman_operator(q, transition, reward, discount, lambda x: alpha * x, lambda x: x / alpha),
        torch.zeros(6, 3, dtype=torch.float64),
        1e-12,
        1000,
    )
    torch.testing.assert_close(limit, alpha * optimum((transition, reward, discount)))
    torch.testing.assert_close(limit, optimum((transition, alpha * reward, discount)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("transform", [pair(1e-2), (lambda x: x**3, lambda x: x.sign() * x.abs() ** (1 / 3)), (torch.sinh, torch.asinh)])
def test_in_a_deterministic_process_the_limit_is_h_of_the_optimum(seed, transform):
    process = process_of(seed, successors=1, scale=0.5)
    start = torch.zeros(6, 3, dtype=torch.float64)
    limit = fixed_point(lambda q: transformed_bellman_operator(q, *process, *transform), start, 1e-11, 2000)
    torch.testing.assert_close(limit, transform[0](optimum(process)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("epsilon", "largest_value"), [(epsilon, value) for epsilon in (1e-2, 0.5) for value in (10.0, 1e4, math.inf)])
def test_below_the_bound_the_operator_contracts(epsilon, largest_value):
    gamma = 0.95 * contraction_bound(epsilon, largest_value)
    modulus = gamma / contraction_bound(epsilon, largest_value)
    reach = min(largest_value, 1e5)
    transition, reward, _ = process_of(7, gamma=gamma)
    reward = reward / reward.abs().max() * reach * (1 - gamma)
    discount = torch.full_like(reward, gamma)
    generator = torch.Generator().manual_seed(3)
    ratios = []
    for _ in range(200):
        # Half of the pairs are close together and near zero, where h is steepest.
        first = reach * (2 * torch.rand(6, 3, generator=generator, dtype=torch.float64) - 1)
        second = reach * (2 * torch.rand(6, 3, generator=generator, dtype=torch.float64) - 1)
        for q, other in ((first, second), (first, first + 1e-3 * (second - first)), (1e-3 * first, 1e-3 * second)):
            q, other = rescale(q, epsilon), rescale(other, epsilon)
            applied = [transformed_bellman_operator(each, transition, reward, discount, *pair(epsilon)) for each in (q, other)]
            ratios.append(((applied[0] - applied[1]).abs().max() / (q - other).abs().max()).item())
    assert max(ratios) <= modulus


def coin_flip(gamma=0.99, value=10_000.0, epsilon=1e-2):
    """Return a process of one state in which T_h h(value) = h(value), and T_h is steep there: a loss lands where h is steepest."""
    loss = -gamma * value
    gain = rescale_inverse(2 * rescale(torch.tensor(value, dtype=torch.float64), epsilon), epsilon).item() - gamma * value
    transition = torch.tensor([[[0.5, 0.5]], [[0.5, 0.5]]], dtype=torch.float64)
    reward = torch.tensor([[[loss, gain]], [[loss, gain]]], dtype=torch.float64)
    return transition, reward, torch.full_like(reward, gamma)


def test_above_the_bound_a_stochastic_process_has_several_fixed_points():
    epsilon, gamma = 1e-2, 0.99
    assert gamma > contraction_bound(epsilon, math.inf)
    process = coin_flip(gamma, epsilon=epsilon)

    def operator(q):
        return transformed_bellman_operator(q, *process, *pair(epsilon))

    unstable = rescale(torch.full((2, 1), 10_000.0, dtype=torch.float64), epsilon)
    torch.testing.assert_close(operator(unstable), unstable)
    limits = [rescale_inverse(fixed_point(operator, unstable + start, 1e-10, 100_000), epsilon)[0].item() for start in (-1.0, 1.0)]
    expected_return = process[1][0].mean().item() / (1 - gamma)
    assert limits[0] < 2_000 < 200_000 < limits[1] < expected_return


def test_above_the_bound_the_fixed_point_prefers_a_safe_reward():
    # One decision: 40 for certain, or 0 or 100 with equal probability; both end the episode.
    transition = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)
    reward = torch.tensor([[[40.0, 0.0], [0.0, 100.0]], [[0.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    process = transition, reward, torch.zeros_like(reward)
    assert optimum(process)[0].argmax() == 1
    transformed = transformed_bellman_operator(torch.zeros(2, 2, dtype=torch.float64), *process, *pair(1e-2))
    assert transformed[0].argmax() == 0


def test_one_step_targets_are_samples_of_the_operator():
    process = process_of(4, states=3, actions=2)
    transition, reward, discount = process
    generator = torch.Generator().manual_seed(5)
    q = 5 * torch.randn(3, 2, generator=generator, dtype=torch.float64)
    expected = transformed_bellman_operator(q, *process, *pair(1e-2))
    value_next = double_q_value(q, q).expand_as(reward)
    targets = transformed_n_step_targets(
        *(array.reshape(1, -1) for array in (reward, discount, torch.ones_like(reward), value_next)), 1, *pair(1e-2)
    )
    torch.testing.assert_close((transition * targets.view_as(reward)).sum(-1), expected)


def test_fixed_point_leaves_its_start_alone():
    start = torch.ones(3)
    fixed_point(lambda x: x / 2, start, 0.1, 10)
    assert torch.equal(start, torch.ones(3))


def test_fixed_point_says_how_far_it_is():
    with pytest.raises(RuntimeError, match="no fixed point after 3 iterations: the last one still changed a value by 4"):
        fixed_point(lambda x: 2 * x, torch.ones(1), 1e-3, 3)


def test_targets_refuse_other_shapes_and_no_steps():
    rows = torch.ones(4, 2)
    with pytest.raises(ValueError, match=r"value_next must have shape \[4, 2\], got \[3, 2\]"):
        transformed_n_step_targets(rows, rows, rows, rows[1:], 1, *pair(1e-2))
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        transformed_n_step_targets(rows, rows, rows, rows, 0, *pair(1e-2))


class TestTreasureChain:
    @staticmethod
    def played(actions):
        """Return the rewards [T, B] and the best returns [B] of 50 episodes of the given actions; they end together, with the last one."""
        environments = envs.make("npfl139/TreasureChain-v0", 50, 0)
        best, rewards = environments.best_return, []
        for action in actions:
            _, reward, terminated, truncated, _ = environments.step(np.full(50, action))
            rewards.append(reward)
            assert terminated.all() == (len(rewards) == len(actions)) and not truncated.any()
        return np.array(rewards), best

    @pytest.mark.parametrize(
        ("actions", "share", "clipped"),
        [("00001111", 14, 5), ("11100001", 14, 5), ("00000000", 8, 8), ("1111", 10, 1), ("00000111", 5, 5)],
        ids=["coins first", "treasure room first", "coins only", "no coin", "one coin too many"],
    )
    def test_returns(self, actions, share, clipped):
        rewards, best = self.played([int(action) for action in actions])
        np.testing.assert_allclose(rewards.sum(0) / best, share / 14)
        np.testing.assert_array_equal(rewards.clip(-1, 1).sum(0), clipped)
        assert set(best) == {14.0, 140.0, 1400.0, 14000.0}

    def test_single_environment_agrees_with_the_batch(self):
        single, batch = treasure.TreasureChain(), treasure.TreasureChainVector(1)
        np.testing.assert_array_equal(single.reset(seed=3)[0], batch.reset(seed=3)[0][0])
        for action in (0, 1, 1, 0, 1, 1):
            observation, reward, terminated, truncated, _ = single.step(action)
            _, rewards, ends, _, info = batch.step(np.array([action]))
            assert (reward, terminated, truncated) == (rewards[0], ends[0], False)
            assert single.observation_space.contains(observation)
        np.testing.assert_array_equal(observation, info["final_obs"][0])
        assert terminated

    def test_other_lengths_and_torches_that_have_burnt_before(self):
        environments = envs.make("npfl139/TreasureChain-v0", 200, 0, rooms=5, torch_steps=9, burnt_at_start=4)
        observation, _ = environments.reset()
        best, burnt = environments.best_return, observation[:, 9:].argmax(1)
        assert observation.shape == (200, 5 + 4 + 10) and set(burnt) == {0, 1, 2, 3, 4}
        np.testing.assert_array_equal(best / treasure.SCALES[observation[:, 5:9].argmax(1)], 14 - burnt)
        total, going = np.zeros(200), np.ones(200, bool)
        for step in range(9):
            _, reward, terminated, truncated, _ = environments.step((burnt + step >= 4).astype(int))
            total += going * reward
            assert not truncated.any() and (terminated & going == (going & (burnt + step == 8))).all()
            going &= ~terminated
        np.testing.assert_allclose(total, best)

    @pytest.mark.parametrize("lengths", [{"rooms": 0}, {"rooms": 9}, {"burnt_at_start": 5}, {"burnt_at_start": -1}])
    def test_a_treasure_that_cannot_be_reached_is_refused(self, lengths):
        with pytest.raises(ValueError, match="does not last for"):
            treasure.TreasureChainVector(2, **lengths)

    def test_rendering(self):
        environment = treasure.TreasureChain(render_mode="rgb_array")
        environment.reset(seed=0)
        first = environment.render()
        environment.step(treasure.WALK)
        assert first.dtype == np.uint8 and first.ndim == 3 and (environment.render() != first).any()


def test_the_agent_learns_where_rewards_differ_by_four_orders_of_magnitude():
    config = DQNConfig(steps=2_500, exploration_part=0.8, device="cpu")
    environments = envs.make("npfl139/TreasureChain-v0", config.env_count, 0)
    monitor = MemoryMonitor()
    agent = transformed_rewards.train(environments, config, monitor)
    environments.reset()
    action = agent.act(environments.observe(), None, None)
    assert action.shape == (config.env_count,) and environments.single_action_space.contains(action[0])
    losses = [value for _, value in monitor.scalars["loss"]]
    assert np.isfinite(losses).all() and np.mean(losses[-10:]) < np.mean(losses[:10])


def test_checkpoints_carry_the_policy():
    environments = envs.make("npfl139/TreasureChain-v0", 4, 0)
    spaces = environments.single_observation_space, environments.single_action_space
    first, second = DQN(*spaces, DQNConfig(seed=1, device="cpu")), DQN(*spaces, DQNConfig(seed=2, device="cpu"))
    observation = environments.reset()[0]
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.network(first.inputs(observation)), second.target_network(second.inputs(observation)))


@pytest.mark.parametrize(
    ("treatment", "expected"), [("clip", [1.0, -1.0, 0.5]), ("scale", [10.0, -20.0, 0.05]), ("rescale", [100.0, -200.0, 0.5])]
)
def test_treatments_of_rewards(treatment, expected):
    config = DQNConfig(treatment=treatment, reward_scale=0.1)
    chosen = transformed_rewards.TREATMENTS[treatment](config)
    torch.testing.assert_close(chosen.of_reward(torch.tensor([100.0, -200.0, 0.5])), torch.tensor(expected))
    x = torch.tensor([-7.0, 0.1, 300.0])
    torch.testing.assert_close(chosen.inverse(chosen.transform(x)), x)
    assert torch.equal(chosen.transform(x), x) == (treatment != "rescale")


def test_an_unknown_treatment_is_refused():
    with pytest.raises(ValueError, match="treatment must be one of rescale, clip, scale, got 'squash'"):
        dataclasses.replace(DQNConfig(), treatment="squash")


def test_exploration_falls_linearly_to_its_end():
    config = DQNConfig(steps=1000, exploration_part=0.5, exploration_end=0.1)
    assert [round(config.exploration(steps), 3) for steps in (0, 250, 500, 900)] == [1.0, 0.55, 0.1, 0.1]
