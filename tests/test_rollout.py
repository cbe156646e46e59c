import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.rollout import Collector

LENGTHS = (3, 5, 4)  # steps after which a row terminates; longer than the limit of 4 steps, it is truncated


class ClockVector(BatchedEnv):
    """Observes (row, episode, step) and pays 10 · step + action. Row b terminates after LENGTHS[b] steps, all are truncated after 4."""

    def __init__(self, num_envs, first_row=0):
        super().__init__(num_envs, Box(-np.inf, np.inf, (3,), np.float64), Discrete(3), 4)
        self.row = np.arange(first_row, first_row + num_envs)
        self.episode, self.clock = np.full(num_envs, -1), np.zeros(num_envs, int)

    def restart(self, rows):
        self.episode[rows] += 1
        self.clock[rows] = 0

    def advance(self, action):
        self.clock += 1
        return 10.0 * self.clock + action, self.clock >= np.take(LENGTHS, self.row)

    def observe(self):
        return np.stack([self.row, self.episode, self.clock], axis=1).astype(np.float64)


class Clock(SingleEnv):
    batch_type = ClockVector


def batched():
    return ClockVector(3)


def synchronous():
    return SyncVectorEnv([lambda row=row: Clock(first_row=row) for row in range(3)], autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.fixture(params=[batched, synchronous])
def collector(request):
    return Collector(request.param())


def first_action(observation, reward, first):
    return np.arange(3)


def test_rollouts_continue_each_other(collector):
    observations = torch.cat([collector.rollout(first_action, length).observation for length in (2, 7, 1)])
    for row, duration in enumerate((3, 4, 4)):
        steps = [[row, number // duration, number % duration] for number in range(10)]
        assert observations[:, row].tolist() == steps


def test_successors_are_the_true_ones(collector):
    rollout = collector.rollout(first_action, 9)
    expected = rollout.observation.clone()
    expected[..., 2] += 1  # also where the episode ended
    assert torch.equal(rollout.next_observation, expected)


def test_termination_and_truncation_are_kept_apart(collector):
    rollout = collector.rollout(first_action, 8)
    assert rollout.terminated.nonzero().tolist() == [[2, 0], [3, 2], [5, 0], [7, 2]]
    assert (rollout.truncated & ~rollout.terminated).nonzero().tolist() == [[3, 1], [7, 1]]
    assert torch.equal(rollout.discount(0.9) == 0, rollout.terminated)
    assert torch.equal(rollout.same_episode == 0, rollout.terminated | rollout.truncated)


def test_values_are_those_of_all_observations_and_successors(collector):
    collector.rollout(first_action, 2)  # so that the rows stand in different places
    rollout, calls = collector.rollout(first_action, 9), []

    def value(observation):
        calls.append(len(observation))
        return observation @ torch.tensor([100.0, 10.0, 1.0])

    current, successor = rollout.values(value)
    assert torch.equal(current, value(rollout.observation)) and torch.equal(successor, value(rollout.next_observation))
    assert calls[0] == 9 * 3 + 3 + int(rollout.ended.sum())


def test_arrays_are_time_major_and_of_torch_types(collector):
    rollout = collector.rollout(first_action, 5)
    assert rollout.observation.shape == (5, 3, 3) and rollout.observation.dtype == torch.float32
    assert rollout.action.dtype == torch.int64 and rollout.action[4].tolist() == [0, 1, 2]
    assert rollout.reward.dtype == torch.float32 and rollout.reward[:, 1].tolist() == [11, 21, 31, 41, 11]
    assert rollout.last_observation.tolist() == [[0, 1, 2], [1, 1, 1], [2, 1, 1]]


def test_the_policy_sees_the_previous_reward_and_where_episodes_start(collector):
    seen = []

    def policy(observation, reward, first):
        seen.append((reward.tolist(), first.tolist()))
        return np.zeros(3, int)

    collector.rollout(policy, 5)
    assert seen[0] == ([0, 0, 0], [True] * 3)
    assert seen[2] == ([20, 20, 20], [False] * 3)
    assert seen[3] == ([0, 30, 30], [True, False, False])
    assert seen[4] == ([10, 0, 0], [False, True, True])


def test_a_step_is_the_same_as_a_row_of_a_rollout():
    stepped, rolled = Collector(batched()), Collector(batched())
    transitions = [stepped.step(np.arange(3)) for _ in range(6)]
    rollout = rolled.rollout(first_action, 6)
    assert np.array_equal(np.stack([transition.next_observation for transition in transitions]), rollout.next_observation.numpy())
    assert np.array_equal(np.stack([transition.reward for transition in transitions]), rollout.reward.numpy())
    assert np.array_equal(transitions[3].first, [True, False, False]) and transitions[3].previous_reward[0] == 0


def test_what_is_recorded_is_the_policys_action_and_what_is_executed_the_environments():
    collector = Collector(batched(), execute=lambda action: 2 - action)
    rollout = collector.rollout(first_action, 1)
    assert rollout.action.tolist() == [[0, 1, 2]] and rollout.reward.tolist() == [[12, 11, 10]]


@pytest.mark.parametrize(("steps", "lengths"), [(36, [4, 4, 4]), (35, [4, 4, 3]), (13, [4]), (2, [])])
def test_rollouts_never_exceed_the_budget(steps, lengths):
    collector = Collector(batched())
    assert [len(rollout.reward) for rollout in collector.rollouts(first_action, 4, steps)] == lengths
    assert collector.steps == 3 * sum(lengths) <= steps


def test_rollouts_resume():
    collector = Collector(batched(), steps=12)
    assert [len(rollout.reward) for rollout in collector.rollouts(first_action, 4, 30)] == [4, 2]


def test_other_autoreset_modes_are_refused():
    with pytest.raises(ValueError, match="SAME_STEP"):
        Collector(SyncVectorEnv([Clock], autoreset_mode=AutoresetMode.NEXT_STEP))


def test_rollouts_own_their_memory():
    class Reusing(ClockVector):
        def __init__(self, num_envs):
            super().__init__(num_envs)
            self.buffer = np.zeros((num_envs, 3))

        def observe(self):
            self.buffer[:] = super().observe()
            return self.buffer.copy()

    collector = Collector(Reusing(3))
    first = collector.rollout(first_action, 1)
    last = first.last_observation.clone()
    collector.rollout(first_action, 1)
    assert torch.equal(first.last_observation, last)
