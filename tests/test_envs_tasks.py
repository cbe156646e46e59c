"""What holds for each of our small tasks: spaces, seeds, ends, rows, pictures, and that returns are as declared."""

import copy

import gymnasium
import numpy as np
import pytest

from npfl139.envs import make
from npfl139.evaluation import evaluate

TASKS = {  # the number of steps after which each terminates
    "DeepSea": 10,
    "DiscoGoal": 30,
    "DiscoMaze": 60,
    "KeyDoor": 80,
    "Lottery": 26,
    "NoisyTelevision": 30,
    "Patience": 25,
    "RandomCoin": 25,
    "ShortCueRecall": 20,
    "Vaults": 45,
}
every_task = pytest.mark.parametrize("name", TASKS)


def started(name, count=16, seed=0, **options):
    environments = make(f"npfl139/{name}-v0", count, seed, **options)
    environments.reset()
    return environments


@every_task
def test_observations_lie_in_their_space(name):
    environments = started(name)
    assert environments.observation_space.contains(environments.reset()[0])
    for _ in range(2 * TASKS[name] + 5):
        observation, reward, _, _, info = environments.step(environments.action_space.sample())
        assert environments.observation_space.contains(observation)
        assert "final_obs" not in info or environments.observation_space.contains(info["final_obs"])
        assert reward.shape == (16,) and reward.dtype == np.float64


@every_task
def test_the_last_step_terminates_and_does_not_truncate(name):
    environments = started(name, 64)
    length = np.zeros(64, int)
    ended_in_time = 0
    for _ in range(3 * TASKS[name]):
        *_, terminated, truncated, _ = environments.step(environments.action_space.sample())
        length += 1
        assert not truncated.any()
        assert terminated[length == TASKS[name]].all()
        ended_in_time += (terminated & (length == TASKS[name])).sum()
        length[terminated] = 0
    assert ended_in_time > 0


@every_task
def test_the_true_last_observation_is_kept(name):
    environments, compared = started(name), 0
    for _ in range(2 * TASKS[name]):
        twin, action = copy.deepcopy(environments), environments.action_space.sample()
        observation, reward, terminated, truncated, info = environments.step(action)
        expected = twin.transition(action)
        last = twin.observe()
        assert all(np.array_equal(*pair) for pair in zip((reward, terminated, truncated), expected, strict=True))
        if not terminated.any():
            assert not info and np.array_equal(observation, last)
            continue
        assert np.array_equal(info["_final_obs"], terminated)
        assert np.array_equal(info["final_obs"][terminated], last[terminated])
        assert (environments.elapsed[terminated] == 0).all() and (environments.elapsed[~terminated] > 0).all()
        compared += terminated.sum()
    assert compared > 16


@every_task
def test_rows_do_not_touch_each_other(name):
    """Whatever row 0 does, the others see the same, until the first episode ends and its successor draws from the common stream."""
    options = {"size": 15} if name == "RandomCoin" else {}  # a large room, so that the first coin is not found at once
    once, again = started(name, **options), started(name, **options)
    for step in range(TASKS[name]):
        action = once.action_space.sample()
        other = action.copy()
        other[0] = (action[0] + 1) % once.single_action_space.n
        results = once.step(action), again.step(other)
        if any(result[2].any() for result in results):
            break
        for mine, theirs in zip(*(result[:4] for result in results), strict=True):
            assert np.array_equal(mine[1:], theirs[1:])
    assert step > 2


@every_task
def test_seeds_decide(name):
    def history(seed, action_seed=0):
        environments = make(f"npfl139/{name}-v0", 4, seed)
        environments.action_space.seed(action_seed)
        first = [environments.reset(seed=seed)[0]]
        return first + [part for _ in range(60) for part in environments.step(environments.action_space.sample())[:2]]

    assert all(np.array_equal(*pair) for pair in zip(history(1), history(1), strict=True))
    random = name not in {"DeepSea", "KeyDoor", "Patience", "Vaults"}  # these are deterministic
    assert all(np.array_equal(*pair) for pair in zip(history(1), history(2), strict=True)) != random


@every_task
def test_pictures_are_large_and_show_every_step(name):
    environment = gymnasium.make(f"npfl139/{name}-v0", render_mode="rgb_array")
    environment.reset(seed=0)
    environment.action_space.seed(0)
    picture, changed, ended, steps = environment.render(), 0, False, 0
    shape = picture.shape
    while not ended:
        *_, ended, _, _ = environment.step(environment.action_space.sample())
        before, picture, steps = picture, environment.render(), steps + 1
        assert picture.shape == shape and picture.dtype == np.uint8
        changed += not np.array_equal(picture, before)
    assert shape[2] == 3 and max(shape) >= 240 and min(shape[:2]) >= 96
    assert changed >= 0.5 * steps  # at walls and in rooms nothing may happen
    assert make(f"npfl139/{name}-v0", 1, 0).render() is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DeepSea", {"n": 3}),
        ("KeyDoor", {"length": 5}),
        ("Lottery", {}),
        ("NoisyTelevision", {}),
        ("Patience", {}),
        ("RandomCoin", {}),
        ("RandomCoin", {"size": 3, "slip": 0.0, "steps": 4}),
        ("ShortCueRecall", {}),
        ("CueRecall", {"corridor": 3, "max_episode_steps": 9}),
        ("TwoRooms", {"corridors": (1, 2), "max_episode_steps": 12}),
        ("Vaults", {"corridors": 2, "length": 2, "steps": 12}),
        ("Vaults", {"corridors": 3, "length": 3, "steps": 45}),
    ],
)
def test_random_play_earns_what_is_declared(name, options):
    environments = started(name, 200, **options)
    returns = evaluate(lambda *_: environments.action_space.sample(), environments, 10_000)
    assert returns.std() > 0
    assert returns.mean() == pytest.approx(environments.random_return, abs=4 * returns.std() / 100)
    assert returns.mean() < environments.best_return


def deep_sea(environments):
    return environments.right[environments.elapsed, environments.columns[environments.rows, environments.elapsed]]


def key_door(environments):
    return environments.has_key.astype(int)


def lottery(environments):
    return environments.answer[environments.question]


def television(environments):
    return environments.lamp


def patience(environments):
    return np.ones(environments.num_envs, int)


def coin(environments):
    down, right = (environments.coin - environments.place).T
    return np.where(down != 0, np.where(down > 0, 1, 0), np.where(right > 0, 3, 2))


def cue_recall(environments):
    in_room = environments.place == environments.corridors[0]
    return np.where(in_room, np.where(environments.cue < 0, 1, 2), 0)


def vaults(environments):
    closed = environments.deepest < environments.length
    onward = environments.combination[environments.corridor, environments.depth - 1]
    return np.where(environments.depth == 0, closed.argmax(1), onward)


@pytest.mark.parametrize(
    ("name", "controller", "options", "best"),
    [
        ("DeepSea", deep_sea, {}, 0.99),
        ("DeepSea", deep_sea, {"n": 30, "mapping_seed": 2}, 0.99),
        ("KeyDoor", key_door, {}, 1),
        ("KeyDoor", key_door, {"length": 3}, 1),
        ("Lottery", lottery, {"prize": 0}, 16),
        ("NoisyTelevision", television, {}, 3),
        ("Patience", patience, {}, 5),
        ("RandomCoin", coin, {"slip": 0}, 1),
        ("RandomCoin", coin, {"size": 15, "slip": 0, "steps": 200}, 1),
        ("ShortCueRecall", cue_recall, {}, 1),
        ("Vaults", vaults, {}, 1),
        ("Vaults", vaults, {"steps": 23}, 1),
        ("Vaults", vaults, {"steps": 22}, 2 / 3),
        ("Vaults", vaults, {"corridors": 4, "length": 3, "steps": 8, "lock_seed": 1}, 1 / 2),
    ],
)
def test_the_best_return_is_reached(name, controller, options, best):
    environments = started(name, 32, **options)
    returns = evaluate(lambda *_: controller(environments), environments, 64)
    assert returns == pytest.approx(np.full(64, best))
    assert environments.best_return == pytest.approx(best)


def test_the_best_return_on_a_slippery_floor_is_nearly_reached():
    environments = started("RandomCoin", 200, steps=6)
    returns = evaluate(lambda *_: coin(environments), environments, 10_000)
    assert returns.mean() == pytest.approx(environments.best_return, abs=0.02)
    assert returns.mean() < environments.best_return + 4 * returns.std() / 100
    assert environments.best_return < 0.9


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("DeepSea", {"n": 1}, "a deep sea has at least 2 × 2 cells, got n = 1"),
        ("KeyDoor", {"length": 2}, "a corridor with a key has at least 3 cells, got 2"),
        ("RandomCoin", {"size": 1}, "must have a size of at least 2, got 1"),
        ("RandomCoin", {"slip": 1.5}, r"must lie in \[0, 1\], got 1.5"),
        ("Vaults", {"corridors": 5}, "there must be 1 to 4 corridors, an action leads into each, got 5"),
        ("Vaults", {"corridors": 0}, "there must be 1 to 4 corridors, an action leads into each, got 0"),
    ],
)
def test_impossible_tasks_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(f"npfl139/{name}-v0", 1, 0, **options)


def played(name, actions, **options):
    """The rewards of one row under the given actions."""
    environments = started(name, 1, **options)
    return environments, [environments.step(np.array([action]))[1][0] for action in actions]


def test_vaults_pay_once_an_episode_and_lead_back_from_wrong_steps():
    environments = started("Vaults", 1)
    right = environments.combination[1]
    way = [1, *right[:6]]
    _, rewards = played("Vaults", [*way, 0, *way])
    assert rewards == [0] * 6 + [1 / 3] + [0] * 8
    environments, _ = played("Vaults", [1, right[0], (right[1] + 1) % 4])
    assert environments.depth[0] == 0 and environments.deepest[0].tolist() == [0, 2, 0]
    environments, _ = played("Vaults", [3])  # no corridor
    assert environments.depth[0] == 0
    environments, _ = played("Vaults", [*way, *right[:1]])  # every action leads back from the treasure
    assert environments.depth[0] == 0


def test_vaults_do_not_show_which_treasures_are_gone():
    environments = started("Vaults", 1)
    first = environments.reset()[0]
    way = [0, *environments.combination[0, :6], 0]
    for action in way:
        observation = environments.step(np.array([action]))[0]
    assert environments.deepest[0, 0] == 7 and np.array_equal(observation, first)


def test_the_television_zaps_without_pay():
    environments = started("NoisyTelevision", 1)
    channel, volume = environments.channel[0], environments.volume[0]
    rewards = [environments.step(np.array([action]))[1][0] for action in (2, 2, 3)]
    assert rewards == [0, 0, 0]
    assert (environments.channel[0] - channel) % 16 == 2 and (environments.volume[0] - volume) % 16 == 1
    observation = environments.observe()[0]
    assert np.flatnonzero(observation[:-1]).tolist() == [environments.lamp[0], 2 + environments.channel[0], 18 + environments.volume[0]]
    assert observation[-1] == np.float32(0.1)
    lever = environments.lamp[0]
    assert environments.step(np.array([1 - lever]))[1][0] == 0
    assert environments.step(np.array([environments.lamp[0]]))[1][0] == 0.1


def test_the_coin_ends_the_episode_and_never_lies_under_the_agent():
    environments = started("RandomCoin", 500, slip=0.0)
    assert (environments.place != environments.coin).any(1).all()
    starts = environments.place @ [5, 1] * 25 + environments.coin @ [5, 1]
    assert len(np.unique(starts)) > 300  # of 600 pairs
    _, reward, terminated, _, info = environments.step(coin(environments))
    assert terminated.any() and np.array_equal(reward == 1, terminated)
    assert np.array_equal(info["_final_obs"], terminated)


def test_the_floor_slips_as_often_as_declared():
    environments = started("RandomCoin", 5000, size=15, slip=0.2, steps=200)
    environments.place[:], environments.coin[:] = 7, 0
    environments.step(np.zeros(5000, int))
    astray = (environments.place != [6, 7]).any(1).mean()
    assert astray == pytest.approx(0.2 * 3 / 4, abs=4 * np.sqrt(0.15 * 0.85 / 5000))


def test_the_coin_is_seen_from_the_agent():
    environments = started("RandomCoin", 1)
    environments.place[:], environments.coin[:] = [1, 4], [3, 0]
    expected = np.zeros(16)
    expected[[1, 5 + 4]] = 1
    expected[10:14] = [1, 0, 0, 1]  # below, to the right, above, to the left
    expected[14:] = [2 / 5, -4 / 5]
    np.testing.assert_allclose(environments.observe()[0], expected, rtol=1e-6)


def test_patience_pays_at_once_or_at_the_end():
    assert played("Patience", [0, *[1] * 24])[1] == [4] + [0] * 24
    assert played("Patience", [1, *[0] * 24])[1] == [0] * 24 + [5]
    environments = started("Patience", 1)
    assert np.flatnonzero(environments.step(np.array([1]))[0]).tolist() == [1, 26]


def test_the_lottery_is_fair_and_comes_last():
    environments = started("Lottery", 4000)
    home = [environments.step(np.zeros(4000, int))[1] for _ in range(26)][16:]
    assert not np.any(home[:-1])
    assert set(np.unique(home[-1])) == {-25, 25}
    assert abs((home[-1] > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_questions_are_hidden_on_the_way_home_and_all_kinds_have_an_answer():
    environments = started("Lottery", 8)
    assert np.bincount(environments.answer).tolist() == [2] * 4
    for step in range(1, 26):
        observation = environments.step(np.zeros(8, int))[0]
        assert (observation[:, :9].sum(1) == (2 if step < 16 else 0)).all()
        np.testing.assert_allclose(observation[:, 9], step / 26, rtol=1e-6)


def test_deep_sea_sinks_and_pays_for_moves_to_the_right():
    environments = started("DeepSea", 1, n=3)
    right = environments.right
    moves = [(right[0, 0], 1), (1 - right[1, 1], 0), (right[2, 0], 1)]
    rewards = []
    for depth, (action, column) in enumerate(moves, 1):
        observation, reward, _, _, info = environments.step(np.array([action]))
        observation = info.get("final_obs", observation)
        rewards.append(reward[0])
        assert np.flatnonzero(observation[0]).tolist() == ([3 * depth + column] if depth < 3 else [])
    assert rewards == pytest.approx([-0.01 / 3, 0, -0.01 / 3])


def test_the_door_wants_the_key_and_the_key_is_shown_when_it_is_picked_up():
    environments = started("KeyDoor", 1, length=4)
    shown = []
    for action in [1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]:
        observation, reward, terminated, _, info = environments.step(np.array([action]))
        shown.append(info.get("final_obs", observation)[0, -1])
    assert shown == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert reward[0] == 1 and terminated[0]


def test_the_limit_of_cue_recall_truncates_unless_it_is_a_part_of_the_task():
    for option, expected in ((False, (False, True)), (True, (True, False))):
        environments = started("CueRecall", 1, max_episode_steps=2, limit_terminates=option)
        environments.step(np.array([1]))
        _, _, terminated, truncated, _ = environments.step(np.array([1]))
        assert (terminated[0], truncated[0]) == expected
