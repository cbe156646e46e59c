"""Agent57 as a whole: who chooses the policies, by which returns, and what the two networks learn. The hidden checks test its exercises."""

import dataclasses

import numpy as np
import pytest
import torch

import solutions.agent57 as agent57
from npfl139 import envs
from npfl139.checkpoints import load_checkpoint, save_checkpoint
from npfl139.evaluation import evaluate
from npfl139.recurrent.actors import play
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor
from npfl139.seeding import numpy_stream
from solutions import ngu, r2d2
from solutions.transformed_rewards import rescale, rescale_inverse

MAZE, COIN = "npfl139/SmallDiscoMaze-v0", "npfl139/RandomCoin-v0"
TINY = agent57.Agent57Config(
    seed=3, steps=1000, env_count=4, sequence_length=8, sequence_period=4, burn_in=3, replay_rows=2000, replay_sequences=300,
    batch_size=6, memory_size=8, head_size=8, learning_starts=500, steps_per_update=50, novelty_warmup=3, novelty_sizes=(16,),
)  # fmt: skip


def made(environment_id=COIN, **changes):
    config = dataclasses.replace(TINY, **changes)
    environments = envs.make(environment_id, config.env_count, 1)
    return agent57.make_agent(environments.single_observation_space, environments.single_action_space, config), environments


def acted(agent, environments, steps, epsilon=0.5):
    """Return the replay and the experience of some steps."""
    collector, replay = Collector(environments), r2d2.make_replay(agent, agent.config)
    actors = agent.explorers(np.full(environments.num_envs, epsilon), numpy_stream(1, "exploration"))
    experience = []
    for _ in range(steps):
        experience.append(play(collector, actors))
        replay.add(np.arange(environments.num_envs), *experience[-1])
    return replay, experience


def trained(environment_id=COIN, **changes):
    config, monitor = dataclasses.replace(TINY, **changes), MemoryMonitor()
    return agent57.train(envs.make(environment_id, config.env_count, 1), config, monitor), monitor


def test_the_bandit_hears_the_undiscounted_extrinsic_return_of_every_episode_with_its_policy():
    agent, environments = made()
    _, experience = acted(agent, environments, 120)
    expected, running = [], np.zeros(4)
    for number, step in enumerate(experience):
        running += step.row["reward"]
        for row in np.flatnonzero(step.ended):
            if number + 1 < len(experience):  # an episode is told when the next one begins
                expected.append((int(step.row["arm"][row]), running[row]))
            running[row] = 0
    assert list(agent.controller.bandit.window) == expected
    assert {1.0} < {episode_return for _, episode_return in expected} | {1.0, 0.0}


def test_curiosity_is_not_what_a_policy_is_chosen_for():
    agent, environments = made(MAZE)
    _, experience = acted(agent, environments, 90)
    assert all((step.row["intrinsic"] > 0).all() for step in experience)
    assert {episode_return for _, episode_return in agent.controller.bandit.window} == {0.0}


def test_a_policy_lasts_for_an_episode():
    agent, environments = made(MAZE)
    _, experience = acted(agent, environments, 130)
    chosen = np.stack([step.row["arm"] for step in experience])
    episodes = [chosen[start : start + 40] for start in (0, 40, 80)]
    assert all((episode == episode[0]).all() for episode in episodes)
    assert episodes[0][0].tolist() == [0, 1, 2, 3]  # before any has returned, all are tried


def test_the_evaluator_plays_the_best_policy_and_tells_the_bandit_nothing():
    agent, environments = made()
    acted(agent, environments, 60)
    agent.controller.bandit.window.extend([(2, 50.0)] * 5)
    before = list(agent.controller.bandit.window)
    evaluate(agent.act, envs.make(COIN, 4, 9), 8)
    assert agent._evaluators.arm.tolist() == [2] * 4
    assert list(agent.controller.bandit.window) == before


def test_the_choice_does_not_depend_on_the_unit_of_the_rewards():
    chosen = []
    for unit in (1.0, 1000.0):
        controller = agent57.Controller(dataclasses.replace(TINY, bandit_window=40))
        rng, arms = numpy_stream(1, "returns"), []
        for pull in range(200):
            controller.standardize()
            arms.append(controller.select(pull % 4))
            controller.bandit.update(arms[-1], unit * (arms[-1] + rng.normal()))
        chosen.append(arms)
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0])) == 4 and np.bincount(chosen[0]).argmax() == 3


def test_a_uniform_controller_plays_all_policies_and_evaluates_the_first():
    agent, environments = made(MAZE, controller="uniform", seed=5)
    _, experience = acted(agent, environments, 400)
    counts = np.bincount(np.stack([step.row["arm"] for step in experience])[::40].flatten(), minlength=4)
    assert (counts > 2).all()
    assert agent.controller.best() == 0


def test_each_network_learns_its_own_return():
    agent, environments = made()
    replay, _ = acted(agent, environments, 90)
    batch = agent.batch(replay.sample(np.linspace(0, 0.99, 6)))
    extrinsic, intrinsic = agent.td_errors(batch)
    batch.steps["intrinsic"] += 1
    more_extrinsic, more_intrinsic = agent.td_errors(batch)
    assert torch.equal(extrinsic, more_extrinsic)
    inside = batch.mask > 0
    assert (more_intrinsic > intrinsic)[inside].all()


def test_priorities_weigh_the_errors_as_the_values_are_weighed():
    agent, environments = made()
    replay, _ = acted(agent, environments, 90)
    batch = agent.batch(replay.sample(np.linspace(0, 0.99, 6)))
    error = torch.randn(2, 8, 6)
    weight = torch.tensor([TINY.family_weights[arm] for arm in batch.steps["arm"][0]])
    torch.testing.assert_close(agent.priority_error(error, batch), error[0].abs() + weight * error[1].abs())


def test_actors_act_by_the_combined_values():
    q, arm = torch.randn(5, 3, 2, 4), torch.tensor([[0, 2, 3]]).expand(5, -1)
    weight = torch.tensor(TINY.family_weights)[arm][..., None]
    torch.testing.assert_close(made()[0].combined(q, arm), q[..., 0, :] + weight * q[..., 1, :])
    returns = rescale_inverse(q, 1e-3)
    expected = rescale(returns[..., 0, :] + weight * returns[..., 1, :], 1e-3)
    torch.testing.assert_close(made(mixing="transformed")[0].combined(q, arm), expected)


@pytest.mark.parametrize("changes", [{}, {"heads": "shared"}, {"mixing": "transformed"}, {"controller": "uniform"}, {"novelty": "none"}])
def test_every_ablation_trains(changes):
    agent, monitor = trained(**changes)
    assert agent.updates == len(monitor.scalars["loss"]) > 2
    assert np.isfinite(monitor.scalars["loss"]).all()


def test_one_head_is_ngu():
    config = dataclasses.replace(TINY, heads="shared")
    agent, environments = made(heads="shared")
    assert type(agent.network) is ngu.ConditionedQNetwork
    replay, _ = acted(agent, environments, 90)
    batch = agent.batch(replay.sample(np.linspace(0, 0.99, 6)))
    assert agent.td_errors(batch).shape == (1, config.sequence_length, 6)
    torch.testing.assert_close(agent.td_errors(batch), ngu.Agent.td_errors(agent, batch))


def test_a_checkpoint_holds_the_bandit(tmp_path):
    agent, environments = made()
    other, _ = made(seed=4)
    save_checkpoint(tmp_path / "new", agent, {})
    load_checkpoint(tmp_path / "new", other)
    assert not other.controller.bandit.window
    acted(agent, environments, 60)
    save_checkpoint(tmp_path / "played", agent, {})
    load_checkpoint(tmp_path / "played", other)
    assert list(other.controller.bandit.window) == list(agent.controller.bandit.window) != []
    assert other.controller.bandit.pulls == agent.controller.bandit.pulls
    assert other.controller.best() == agent.controller.best()


def test_the_family_is_the_papers_unless_it_is_given():
    config = dataclasses.replace(TINY, policies=32, family_weights=(), family_discounts=())
    assert torch.equal(config.weights, ngu.exploration_weights(32, 0.3))
    assert torch.equal(config.discounts, agent57.discounts(32, 0.9999, 0.997, 0.99))
    assert TINY.weights.tolist() == [0, 0, 1, 1] and TINY.discounts.tolist() == pytest.approx([0.999, 0.75, 0.999, 0.75])


@pytest.mark.parametrize("field", ["heads", "mixing", "controller"])
def test_a_choice_that_does_not_exist_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be .* or .*, got 'other'"):
        dataclasses.replace(TINY, **{field: "other"})


@pytest.mark.parametrize("field", ["family_weights", "family_discounts"])
def test_a_family_of_another_size_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must have one number for each of the 4 policies, or none"):
        dataclasses.replace(TINY, **{field: (0.0, 1.0)})


def test_spaces_that_it_cannot_handle_are_refused():
    environments = envs.make("npfl139/CollectContinuous-v0", 1, 1)
    with pytest.raises(ValueError, match="actions must be Discrete"):
        agent57.make_agent(environments.single_observation_space, environments.single_action_space, TINY)


SMALL = {"steps": 120, "env_count": 2, "replay_rows": 400, "replay_sequences": 50, "learning_starts": 100, "steps_per_update": 10}


def test_the_configuration_of_the_paper_learns_from_pong():
    pytest.importorskip("ale_py", reason="the extra atari is not installed")
    small = {**SMALL, "batch_size": 2, "sequence_length": 20, "sequence_period": 10, "memory_capacity": 300}
    config, monitor = dataclasses.replace(agent57.CONFIGS["paper"], **small), MemoryMonitor()
    agent = agent57.train(envs.make("ALE/Pong-v5", 2, 1), config, monitor)
    assert agent.updates == 2 and agent.action_count == 18
    assert np.isfinite(monitor.scalars["loss"]).all()
