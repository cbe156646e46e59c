import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from npfl139.envs.batched import BatchedEnv
from npfl139.evaluation import evaluate


class UnequalVector(BatchedEnv):
    """Row b pays 1 per step, and terminates after b + 1 steps."""

    def __init__(self, num_envs):
        super().__init__(num_envs, Box(0, 1, (1,), np.float32), Discrete(2), 100)

    def restart(self, rows):
        pass

    def advance(self, action):
        return np.ones(self.num_envs), self.elapsed >= np.arange(self.num_envs)

    def observe(self):
        return np.zeros((self.num_envs, 1), np.float32)


def still(observation, reward, first):
    return np.zeros(len(observation), int)


@pytest.mark.parametrize(("episodes", "expected"), [(1, [1]), (3, [1, 2, 3]), (6, [1, 1, 2, 2, 3, 3]), (7, [1, 1, 1, 2, 2, 3, 3])])
def test_every_row_plays_its_share_however_short_its_episodes(episodes, expected):
    assert evaluate(still, UnequalVector(3), episodes).tolist() == expected


def test_the_policy_is_told_where_episodes_start():
    starts = []

    def policy(observation, reward, first):
        starts.append(first.tolist())
        assert not reward[first].any()
        return still(observation, reward, first)

    evaluate(policy, UnequalVector(2), 2)
    assert starts == [[True, True], [True, False]]


def test_there_must_be_an_episode():
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        evaluate(still, UnequalVector(2), 0)
