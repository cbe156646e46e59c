import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete

from npfl139.envs import make
from npfl139.envs.batched import BatchedEnv
from npfl139.evaluation import evaluate
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor, load_agent, run
from npfl139.seeding import torch_stream
from solutions import ppo
from solutions.ppo import CONFIGS, PPOConfig, RunningMoments

SMALL = PPOConfig(
    steps=2048, env_count=8, rollout_length=32, minibatch_size=64, learning_rate=1e-2, policy_hidden=(16,), value_hidden=(16,), discount=0.9
)  # fmt: skip


class SignVector(BatchedEnv):
    """Shows a number and pays for saying its sign: the action 1, or a positive one, if it is positive. Four steps per episode."""

    def __init__(self, num_envs, action_space):
        super().__init__(num_envs, Box(-np.inf, np.inf, (1, 1), np.float64), action_space, 4)
        self.number = np.zeros(num_envs)

    def restart(self, rows):
        self.number[rows] = self.np_random.normal(100, 3, len(rows))

    def advance(self, action):
        chosen = action - self.single_action_space.start if isinstance(self.single_action_space, Discrete) else action[:, 0] > 0
        reward = (chosen == (self.number > 100)).astype(np.float64)
        self.number = self.np_random.normal(100, 3, self.num_envs)
        return reward, np.zeros(self.num_envs, bool)

    def observe(self):
        return self.number[:, None, None].copy()


ACTION_SPACES = [
    Discrete(2), Discrete(2, start=3), Box(-2, 2, (1,), np.float32), Box(np.array([-1.0, 5.0]), np.array([1.0, 6.0]), dtype=np.float64)
]  # fmt: skip


def signs(action_space, seed=1):
    environments = SignVector(8, action_space)
    environments.reset(seed=seed)
    return environments


@pytest.mark.parametrize("action_space", ACTION_SPACES, ids=str)
def test_it_learns_what_is_to_be_learnt(action_space):
    agent = ppo.train(signs(action_space), SMALL, MemoryMonitor())
    returns = evaluate(agent.act, signs(action_space, seed=2), 64)
    assert returns.mean() > 3.5  # of 4; chance is 2


@pytest.mark.parametrize("action_space", ACTION_SPACES, ids=str)
def test_actions_lie_in_the_space(action_space):
    environments = signs(action_space)
    agent = ppo.make_agent(environments.single_observation_space, action_space, SMALL)
    observation, reward, first = environments.reset()[0], np.zeros(8), np.ones(8, bool)
    for action in (agent.act(observation, reward, first), agent.execute(agent.sample(observation, reward, first))):
        assert action.shape == environments.action_space.shape and action.dtype == action_space.dtype
        assert all(action_space.contains(one) for one in action)


def test_equal_seeds_give_equal_agents():
    weights = [ppo.train(signs(Discrete(2)), SMALL, MemoryMonitor()).state_dict() for _ in range(2)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_budget_of_steps_is_kept_and_the_learning_rate_falls_linearly():
    environments, monitor = signs(Discrete(2)), MemoryMonitor()
    agent = ppo.train(environments, dataclasses.replace(SMALL, steps=600), monitor)
    assert [step for step, _ in monitor.scalars["entropy"]] == [256, 512, 600]
    assert agent.optimizer.param_groups[0]["lr"] == pytest.approx(SMALL.learning_rate * (1 - 512 / 600))


def test_it_resumes_with_the_steps_that_are_left():
    class Resuming(MemoryMonitor):
        def watch(self, agent):
            return 512

    monitor = Resuming()
    ppo.train(signs(Discrete(2)), dataclasses.replace(SMALL, steps=1024), monitor)
    assert [step for step, _ in monitor.scalars["kl"]] == [768, 1024]


def test_a_run_can_be_stored_and_loaded(tmp_path):
    agent = run(ppo, "npfl139/CollectContinuous-v0", dataclasses.replace(SMALL, steps=512), tmp_path)
    loaded, _ = load_agent(ppo, tmp_path / "agent.safetensors")
    observation = make("npfl139/CollectContinuous-v0", 5, 1).reset()[0]
    assert np.array_equal(agent.act(observation, np.zeros(5), np.ones(5)), loaded.act(observation, np.zeros(5), np.ones(5)))
    assert loaded.moments.count == 512


def test_images_are_observations_too():
    space = Box(0, 255, (4, 5, 3), np.uint8)
    agent = ppo.make_agent(space, Discrete(3), SMALL)
    images = np.stack([space.sample() for _ in range(6)])
    assert agent.act(images, np.zeros(6), np.ones(6, bool)).shape == (6,)


@pytest.mark.parametrize(
    ("observation_space", "action_space", "message"),
    [
        (Dict(x=Discrete(2)), Discrete(2), "observations must be a Box"),
        (Box(0, 1, (2,)), Dict(x=Discrete(2)), "actions must be Discrete or Box"),
        (Box(0, 1, (2,)), Box(-np.inf, np.inf, (2,)), "continuous actions must be a bounded vector"),
        (Box(0, 1, (2,)), Box(-1, 1, (2, 2)), "continuous actions must be a bounded vector"),
    ],
)
def test_spaces_it_cannot_handle_are_refused(observation_space, action_space, message):
    with pytest.raises(ValueError, match=message):
        ppo.make_agent(observation_space, action_space, SMALL)


def test_the_policy_starts_nearly_uniform_and_the_spread_as_configured():
    observation = np.random.default_rng(1).normal(size=(50, 4))
    logits = ppo.make_agent(Box(-1, 1, (4,)), Discrete(3), SMALL).parameters_of(observation)
    assert (logits.softmax(-1) - 1 / 3).abs().max() < 0.01
    agent = ppo.make_agent(Box(-1, 1, (4,)), Box(-1, 1, (2,)), dataclasses.replace(SMALL, initial_std=0.3))
    mean, std = agent.distribution.moments(agent.parameters_of(observation))
    assert mean.abs().max() < 0.03 and (std - 0.3).abs().max() < 0.01


def test_a_truncated_episode_bootstraps_from_its_own_last_observation():
    """With values learnt by heart, the advantage of a last step contains the value of the state that the episode ended in."""
    environments = signs(Discrete(2))
    agent = ppo.make_agent(environments.single_observation_space, Discrete(2), SMALL)
    agent.moments.mean += 100
    agent.values = lambda row: row.squeeze(-1)  # the value of a state is its number - 100
    rollout = Collector(environments).rollout(agent.sample, 8)
    _, target = agent.estimated(rollout)
    number, ends = rollout.next_observation.flatten(1).view(8, 8) - 100, [3, 7]
    torch.testing.assert_close(target[ends], rollout.reward[ends] + 0.9 * number[ends])
    assert not torch.allclose(number[3], rollout.observation[4].flatten() - 100)


def test_moments_do_not_depend_on_how_the_rows_were_cut():
    rows = 1e6 + torch.randn(1000, 3, generator=torch_stream(1, "rows"), dtype=torch.float64)
    moments = RunningMoments(3)
    for part in rows.split([1, 1, 7, 300, 691]):
        moments.update(part)
    torch.testing.assert_close(moments.mean, rows.mean(0))
    # The mean is a million standard deviations, so of the 16 digits of float64 about 10 are left in the deviations.
    torch.testing.assert_close(moments.variance, rows.var(0, correction=0), rtol=1e-6, atol=0)
    assert moments.count == 1000


def test_rows_are_normalized_by_the_moments():
    moments = RunningMoments(2)
    rows = torch.randn(50, 2, generator=torch_stream(1, "rows")) * torch.tensor([3.0, 0.1]) + torch.tensor([5.0, -1.0])
    assert torch.equal(moments(rows), rows.clamp(-10, 10))  # nothing was seen yet
    moments.update(rows)
    torch.testing.assert_close(moments(rows).mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(moments(rows).std(0, correction=0), torch.ones(2), rtol=1e-4, atol=0)
    constant = RunningMoments(1)
    constant.update(torch.full((20, 1), 7.0))
    assert constant(torch.tensor([[7.0], [8.0]])).flatten().tolist() == [0, 10]


def test_the_squashed_density_integrates_to_one():
    """∫ π(a) da over (-1, 1), by the midpoint rule over a = tanh(u)."""
    action = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 100_000 - 1
    pre_tanh = action.atanh()[:, None]
    for mean, std in ((0.0, 0.5), (0.8, 0.3), (-0.5, 1.0)):
        log_prob = ppo.tanh_gaussian_log_prob(pre_tanh, torch.full_like(pre_tanh, mean), torch.full_like(pre_tanh, std))
        assert abs(log_prob.exp().sum().item() / 100_000 - 1) < 1e-4


def test_the_clipped_surrogate_is_a_pessimistic_bound():
    generator = torch_stream(1, "inputs")
    new, old, advantage = (torch.randn(1000, generator=generator) for _ in range(3))
    plain = (new - old).exp() * advantage
    for row in range(0, 1000, 50):
        rows = slice(row, row + 1)
        assert ppo.clipped_surrogate(new[rows], old[rows], advantage[rows], 0.2) <= plain[row]
    wide = ppo.clipped_surrogate(new, old, advantage, 1e6)
    torch.testing.assert_close(wide, plain.mean())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configurations_fit_their_environments(name):
    config = CONFIGS[name]
    assert config.minibatch_size <= config.env_count * config.rollout_length <= config.steps
    environments = make("InvertedPendulum-v5" if name == "paper" else name, 2, 1)
    ppo.make_agent(environments.single_observation_space, environments.single_action_space, config)
