import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary
from gymnasium.utils import env_checker
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from npfl139 import envs
from npfl139.envs import MissingExtra, Tracked, expect_same_step, expect_spaces, make
from npfl139.envs.batched import BatchedEnv, SingleEnv
from npfl139.envs.cartpole import CartPoleVector
from npfl139.envs.collect import PUSHES, REACH, STAY, CollectVector
from npfl139.runs import MemoryMonitor

OURS = sorted(envs.OURS)


@pytest.mark.parametrize("environment_id", [*OURS, "CartPole-v1", "Pendulum-v1", "Acrobot-v1"])
def test_make_gives_the_same_step_autoreset_mode_and_repeatable_seeds(environment_id):
    def observations(seed):
        environments = make(environment_id, 3, seed)
        expect_same_step(environments)
        start = environments.reset()[0]
        return [start, *(environments.step(environments.action_space.sample())[0] for _ in range(20))]

    once, again, other = observations(1), observations(1), observations(2)
    assert all(np.array_equal(*pair) for pair in zip(once, again, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(once, other, strict=True))


def test_neighbouring_seeds_share_no_start_state():
    starts = [make("Pendulum-v1", 4, seed).reset()[0] for seed in range(4)]
    assert len(np.unique(np.concatenate(starts), axis=0)) == 16


@pytest.mark.parametrize("environment_id", ["CartPole-v1", "Acrobot-v1"])
def test_the_true_last_observation_is_in_the_info(environment_id):
    environments = make(environment_id, 4, 3, **({"max_episode_steps": 7} if environment_id == "Acrobot-v1" else {}))
    observation, ended = environments.reset()[0], np.zeros(4, bool)
    while not ended.any():
        before = observation
        observation, _, terminated, truncated, info = environments.step(np.zeros(4, np.int64))
        ended = terminated | truncated
    assert np.array_equal(info["_final_obs"], ended)
    for row in np.flatnonzero(ended):  # the last observation continues the episode, the returned one starts another
        assert np.abs(info["final_obs"][row] - before[row]).max() < np.abs(info["final_obs"][row] - observation[row]).max()


@pytest.mark.parametrize("environment_id", ["LunarLander-v3", "InvertedPendulum-v5"])
def test_environments_of_the_extras_can_be_made(environment_id):
    environments = make(environment_id, 2, 1)
    assert environments.reset()[0].shape[0] == 2


def test_an_unknown_environment_is_named_with_the_closest_one():
    with pytest.raises(ValueError, match="there is no environment 'CartPole-v7'; did you mean 'CartPole-v1'"):
        make("CartPole-v7", 2, 0)
    with pytest.raises(ValueError, match="there is no environment '  '$"):
        make("  ", 2, 0)


def test_there_must_be_an_environment():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        make("CartPole-v1", 0, 0)
    with pytest.raises(ValueError, match="at least 1 environment"):
        CartPoleVector(0)


@pytest.mark.parametrize(("environment_id", "extra"), [("InvertedPendulum-v5", "mujoco"), ("LunarLander-v3", "box2d")])
def test_a_missing_package_is_an_instruction_to_install_it(environment_id, extra, monkeypatch):
    def unavailable(*arguments, **options):
        raise gymnasium.error.DependencyNotInstalled("the package is not installed")

    monkeypatch.setattr(gymnasium, "make", unavailable)
    with pytest.raises(MissingExtra, match=rf"{environment_id} needs .* pip install .*deep-rl-unit\[{extra}\]"):
        make(environment_id, 2, 0)


def test_other_autoreset_modes_are_refused():
    environments = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")], autoreset_mode=AutoresetMode.NEXT_STEP)
    with pytest.raises(ValueError, match="must have the autoreset mode SAME_STEP, got AutoresetMode.NEXT_STEP"):
        expect_same_step(environments)


def test_spaces_are_checked():
    box, discrete = Box(-1, 1, (2,)), Discrete(2)
    expect_spaces(box, discrete)
    expect_spaces(box, box)
    with pytest.raises(ValueError, match="observations must be a Box, got Discrete"):
        expect_spaces(discrete, box)
    with pytest.raises(ValueError, match="actions must be Discrete or Box, got MultiBinary"):
        expect_spaces(box, MultiBinary(2))
    with pytest.raises(ValueError, match="actions must be Discrete, got Box"):
        expect_spaces(box, box, Discrete)


@pytest.mark.filterwarnings("ignore:.*Box observation space (min|max)imum value")  # CartPole's speeds have no limit, as in Gymnasium
@pytest.mark.parametrize("environment_id", OURS)
def test_the_single_environment_obeys_gymnasium(environment_id):
    env_checker.check_env(gymnasium.make(environment_id).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("environment_id", OURS)
def test_the_single_environment_is_a_batch_of_one(environment_id):
    single, batch = gymnasium.make(environment_id), gymnasium.make_vec(environment_id, 1, vectorization_mode="vector_entry_point")
    assert np.array_equal(single.reset(seed=5)[0], batch.reset(seed=5)[0][0])
    batch.action_space.seed(5)
    for _ in range(200):
        action = batch.action_space.sample()
        observation, reward, terminated, truncated, info = batch.step(action)
        result = single.step(action[0])
        last = info["final_obs"] if terminated[0] or truncated[0] else observation
        assert np.array_equal(result[0], last[0])
        assert result[1:4] == (reward[0], terminated[0], truncated[0])
        if terminated[0] or truncated[0]:
            assert np.array_equal(single.reset()[0], observation[0])


class Unfinished(BatchedEnv):
    def __init__(self):
        super().__init__(1, Box(-1, 1, (1,)), Discrete(2), 5, "rgb_array")

    def restart(self, rows):
        pass

    def observe(self):
        return np.zeros((1, 1), np.float32)


def test_what_a_batched_environment_must_define_is_asked_for():
    environments = Unfinished()
    with pytest.raises(RuntimeError, match="call reset before step"):
        environments.step(np.zeros(1, int))
    environments.reset()
    with pytest.raises(NotImplementedError):
        environments.step(np.zeros(1, int))
    with pytest.raises(NotImplementedError, match="Unfinished cannot be rendered"):
        environments.render()


def test_actions_are_checked():
    discrete, continuous = make("CartPole-v1", 3, 0), make("npfl139/CollectContinuous-v0", 3, 0)
    with pytest.raises(ValueError, match=r"actions must have shape \[3\], got \[2\]"):
        discrete.step(np.zeros(2, int))
    with pytest.raises(ValueError, match="actions must be integers, got float64"):
        discrete.step(np.zeros(3))
    with pytest.raises(ValueError, match=r"actions must lie in 0 \.\.\. 1, got 0 \.\.\. 2"):
        discrete.step(np.arange(3))
    with pytest.raises(ValueError, match="actions must be finite numbers"):
        continuous.step(np.full((3, 2), np.nan))


@pytest.mark.parametrize("environment_id", ["npfl139/CartPole-v1", "npfl139/Collect-v0"])
def test_rendering_gives_images_that_change(environment_id):
    environments = make(environment_id, 2, 0, render_mode="rgb_array")
    first = environments.render()
    for _ in range(5):
        environments.step(np.ones(2, int))
    second = environments.render()
    assert len(first) == 2 and first[0].dtype == np.uint8 and first[0].ndim == 3 and first[0].shape[2] == 3
    assert not np.array_equal(first[0], second[0])
    single = gymnasium.make(environment_id, render_mode="rgb_array")
    single.reset(seed=0)
    assert single.render().shape == first[0].shape
    assert make(environment_id, 2, 0).render() is None


def test_an_unknown_render_mode_is_refused():
    with pytest.raises(ValueError, match="render_mode must be None or 'rgb_array', got 'human'"):
        make("npfl139/Collect-v0", 1, 0, render_mode="human")


def test_the_batched_cartpole_moves_as_gymnasiums():
    """From the same states, under the same actions, the same successors to float32 precision, and the same ends."""
    rng, theirs, ours = np.random.default_rng(1), gymnasium.make("CartPole-v1").unwrapped, CartPoleVector(50)
    ours.reset(seed=1)
    ended = 0
    for _ in range(20):
        ours.state = rng.uniform([[-2.4], [-2], [-0.21], [-2]], [[2.4], [2], [0.21], [2]], (4, 50))
        action, states = rng.integers(2, size=50), ours.state.copy()
        _, terminated, _ = ours.transition(action)
        for row in range(50):
            theirs.reset()
            theirs.state = tuple(states[:, row])
            observation, reward, theirs_terminated, _, _ = theirs.step(action[row])
            np.testing.assert_allclose(ours.observe()[row], observation, rtol=1e-5, atol=1e-6)
            assert terminated[row] == theirs_terminated and reward == 1
            ended += theirs_terminated
    assert 50 < ended < 950  # both outcomes were compared


def test_cartpole_is_truncated_after_its_time_limit():
    environments = make("CartPole-v1", 2, 0, max_episode_steps=3)
    flags = [environments.step(np.array([0, 1]))[2:4] for _ in range(3)]
    assert [truncated.tolist() for _, truncated in flags] == [[False] * 2, [False] * 2, [True] * 2]
    assert not any(terminated.any() for terminated, _ in flags)


def collect_at_rest(**options):
    environments = CollectVector(1, **options)
    environments.reset(seed=0)
    environments.position[:], environments.velocity[:], environments.place[:] = 0, 0, [REACH / 2, 0]
    return environments


def test_collect_pays_for_staying_and_then_moves_the_place():
    environments = collect_at_rest()
    rewards = [environments.step(np.zeros(1, int))[1][0] for _ in range(STAY)]
    assert rewards == [1 / STAY] * STAY
    assert not np.array_equal(environments.place[0], [REACH / 2, 0]) and environments.stayed[0] == 0


def test_collect_pays_nothing_outside_of_reach():
    environments = collect_at_rest()
    environments.place[:] = [2 * REACH, 0]
    assert environments.step(np.zeros(1, int))[1][0] == 0


@pytest.mark.parametrize("continuous", [False, True])
def test_collect_stops_at_the_walls(continuous):
    environments = collect_at_rest(continuous=continuous)
    for _ in range(60):
        observation = environments.step(PUSHES[[1]] if continuous else np.ones(1, int))[0]
    np.testing.assert_allclose(observation[0, :4], [1, 0, 0, 0], atol=1e-6)


def test_collect_limits_pushes():
    strong, limited = collect_at_rest(continuous=True), collect_at_rest(continuous=True)
    assert np.array_equal(strong.step(np.array([[50.0, -7.0]]))[0], limited.step(np.array([[1.0, -1.0]]))[0])


def test_tracked_counts_steps_and_episodes():
    monitor = MemoryMonitor()
    environments = Tracked(make("CartPole-v1", 3, 1), monitor, steps=300)
    environments.reset()
    rng, running, expected = np.random.default_rng(0), np.zeros(3), []
    for step in range(1, 101):
        _, reward, terminated, truncated, _ = environments.step(rng.integers(2, size=3))
        running += reward
        for row in np.flatnonzero(terminated | truncated):
            expected.append((300 + 3 * step, running[row], running[row]))  # in CartPole the return is the length
            running[row] = 0
    assert environments.steps == 600 and len(expected) > 5
    assert [tuple(episode) for episode in environments.episodes] == expected
    logged = monitor.scalars["episode_return"]
    assert [step for step, _ in logged] == sorted({step for step, _, _ in expected})
    assert logged[0][1] == np.mean([value for step, value, _ in expected if step == expected[0][0]])
    environments.reset()
    environments.step(np.zeros(3, int))
    assert environments._return.tolist() == [1, 1, 1]  # the interrupted episodes are forgotten


def test_a_single_environment_needs_only_its_batch_type():
    class One(SingleEnv):
        batch_type = CollectVector

    environment = One(continuous=True, max_episode_steps=2)
    environment.reset(seed=3)
    assert [environment.step(np.zeros(2))[3] for _ in range(2)] == [False, True]
