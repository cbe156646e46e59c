"""The disguise of tasks that are seen: the same task, in which nothing that was known beforehand helps."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from grader.contract.disguises import RelabelledImage
from grader.contract.served import serve
from npfl139.envs import make
from npfl139.envs.batched import BatchedEnv
from npfl139.envs.disco import DiscoGoalVector, DiscoMazeVector
from npfl139.evaluation import evaluate


def relabelled(environments, seed):
    return RelabelledImage(environments, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
def test_a_disguise_is_the_same_task(seed):
    plain, inner = DiscoMazeVector(4, steps=7), DiscoMazeVector(4, steps=7)
    disguised = relabelled(inner, seed)
    assert np.array_equal(disguised.reset(seed=1)[0], disguised.disguised(plain.reset(seed=1)[0]))
    for _ in range(20):
        action = disguised.action_space.sample()
        observation, reward, terminated, truncated, info = disguised.step(action)
        expected = plain.step(disguised.original(action))
        assert disguised.observation_space.contains(observation)
        assert np.array_equal(observation, disguised.disguised(expected[0]))
        assert all(np.array_equal(*pair) for pair in zip((reward, terminated, truncated), expected[1:4], strict=True))
        assert info.keys() == expected[4].keys()
        if terminated.any():
            assert np.array_equal(info["final_obs"], disguised.disguised(expected[4]["final_obs"]))
            assert np.array_equal(info["coverage"], expected[4]["coverage"])


def agent(observation):
    return np.stack(np.nonzero((observation == 255).all(1)), 1)[:, 1:]


@pytest.mark.parametrize("seed", range(8))
def test_in_a_disguise_each_action_moves_the_agent_in_one_direction_of_the_picture(seed):
    environments = relabelled(DiscoMazeVector(64, new_maze=True), seed)
    place, moved = agent(environments.reset(seed=0)[0]), {action: set() for action in range(4)}
    for _ in range(50):
        action = environments.action_space.sample()
        after = agent(environments.step(action)[0])
        for one, step in zip(action, after - place, strict=True):
            moved[one].add(tuple(step))
        place = after
    directions = [moves - {(0, 0)} for moves in moved.values()]
    assert {len(moves) for moves in directions} == {1}
    assert set.union(*directions) == {(-1, 0), (1, 0), (0, -1), (0, 1)}


def test_each_seed_has_its_own_disguise_and_keeps_it():
    environments = DiscoMazeVector(2, colours=6)
    observation = environments.reset(seed=0)[0]
    disguises = [relabelled(environments, seed) for seed in range(300)]
    pictures = {disguise.disguised(observation).tobytes() for disguise in disguises}
    assert len(pictures) == 8 * 6
    assert len({tuple(disguise.permutation) for disguise in disguises}) == 24
    assert np.array_equal(relabelled(environments, 5).disguised(observation), disguises[5].disguised(observation))


def test_a_hand_written_controller_fails_in_a_disguise():
    def score(environments):
        def policy(observation, reward, first):
            """Walks to the goal, where it knows the way by heart."""
            place = agent(observation) @ [maze.size, 1]
            return np.array([way.get(cell, 0) for cell in place])

        return evaluate(policy, environments, 8).mean()

    maze = DiscoGoalVector(8)
    cell, way = maze.goal, {}
    while cell != maze.start:
        action = next(action for action in range(4) if maze.walk[0, cell - maze.moves[action]] == maze.walk[0, cell] - 1)
        cell -= maze.moves[action]
        way[cell] = action
    assert score(DiscoGoalVector(8)) > 0.7
    assert sum(score(relabelled(DiscoGoalVector(8), seed)) > 0 for seed in range(20)) <= 2


class Pictures(BatchedEnv):
    """Random pictures of any shape."""

    def __init__(self, *shape, low=0, actions=None):
        super().__init__(2, Box(low, 255, shape, np.uint8), actions or Discrete(3, start=1), 5)

    def restart(self, rows):
        pass

    def advance(self, action):
        self.action = action
        return np.zeros(2), np.zeros(2, bool)

    def observe(self):
        return self.np_random.integers(256, size=self.observation_space.shape, dtype=np.uint8)


def test_pictures_without_channels_or_not_square_are_only_mirrored():
    picture = np.arange(2 * 4 * 6, dtype=np.uint8).reshape(2, 4, 6)
    seen = {relabelled(Pictures(4, 6), seed).disguised(picture).tobytes() for seed in range(40)}
    expected = {np.ascontiguousarray(picture[:, ::up, ::left]).tobytes() for up in (1, -1) for left in (1, -1)}
    assert seen == expected


def test_actions_need_not_start_at_0():
    environments = relabelled(Pictures(4, 4), 0)
    environments.reset(seed=0)
    reached = set()
    for action in (1, 2, 3):
        environments.step(np.full(2, action))
        reached |= set(environments.env.action.tolist())
    assert reached == {1, 2, 3}


def test_it_can_be_served():
    served = serve(relabelled(make("npfl139/DiscoMaze-v0", 3, 0), 1), 30)
    assert served.description["observation_space"]["low"].shape == (3, 9, 9)
    assert served.reset().shape == (3, 3, 9, 9)
    assert served.step(np.zeros(3, int))[0].dtype == np.uint8


@pytest.mark.parametrize(
    ("environments", "message"),
    [
        (lambda: make("CartPole-v1", 2, 0), "only pictures .* can be relabelled so, got Box"),
        (lambda: Pictures(2, 4, 4, low=np.arange(32, dtype=np.uint8).reshape(2, 4, 4)), "only be exchanged if all have the same range"),
        (lambda: Pictures(4, 4, actions=Box(-1, 1, (2,))), "only discrete actions can be relabelled so, got Box"),
        (lambda: gymnasium.make_vec("FrozenLake-v1", 2), "only pictures .* got Discrete"),
    ],
)
def test_what_is_no_picture_is_refused(environments, message):
    with pytest.raises(ValueError, match=message):
        relabelled(environments(), 0)
