"""Real Atari games: what an observation, a reward and an end are, and R2D2 in the configuration of its paper."""

import dataclasses

import numpy as np
import pytest

import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.runs import MemoryMonitor

pytest.importorskip("ale_py", reason="the extra atari is not installed")


def played(game, count, steps, **options):
    """Yield (observation before, observation, reward, terminated, truncated, info) of random steps."""
    environments = envs.make(f"ALE/{game}-v5", count, 1, **options)
    rng = np.random.default_rng(1)
    before = environments.reset()[0]
    for _ in range(steps):
        after, *rest = environments.step(rng.integers(environments.single_action_space.n, size=count))
        yield before, after, *rest
        before = after


def test_pong_gives_single_frames_unclipped_points_and_true_last_frames():
    rewards, ends = [], 0
    for _, observation, reward, terminated, truncated, info in played("Pong", 2, 1500):
        assert observation.shape == (2, 84, 84) and observation.dtype == np.uint8
        rewards.append(reward)
        ended = terminated | truncated
        if ended.any():
            ends += ended.sum()
            np.testing.assert_array_equal(info["_final_obs"], ended)
            final = info["final_obs"][ended]
            assert final.shape == (ended.sum(), 84, 84) and (final != observation[ended]).any((1, 2)).all()
    assert ends >= 2 and set(np.unique(rewards)) == {-1.0, 0.0, 1.0}


def test_a_lost_life_in_breakout_does_not_end_the_episode():
    lost, ended, lives = 0, 0, None
    for *_, terminated, truncated, info in played("Breakout", 1, 400):
        over = bool((terminated | truncated)[0])
        ended += over
        if lives is not None and info["lives"][0] < lives and not over:
            lost += 1
        lives = info["lives"][0]
    assert ended >= 1 and lost >= 4


@pytest.mark.parametrize("options", [{}, {"render_mode": "rgb_array"}])
def test_games_have_all_actions_unless_they_are_asked_for_their_own(options):
    assert envs.make("ALE/Pong-v5", 1, 1, **options).single_action_space.n == 18
    assert envs.make("ALE/Pong-v5", 1, 1, full_action_space=False, **options).single_action_space.n == 6


def test_r2d2_learns_from_pong_in_the_configuration_of_its_paper():
    small = {"steps": 520, "env_count": 4, "replay_rows": 2000, "replay_sequences": 100, "learning_starts": 500, "steps_per_update": 10}
    config = dataclasses.replace(r2d2.CONFIGS["paper"], **small, batch_size=2)
    monitor = MemoryMonitor()
    agent = r2d2.train(envs.make("ALE/Pong-v5", 4, 1), config, monitor)
    assert agent.updates == 2 and agent.action_count == 18 and agent.network.torso.shape == (4, 84, 84)
    assert np.isfinite([loss for _, loss in monitor.scalars["loss"]]).all()
