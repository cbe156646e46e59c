"""R2D2 as a whole: what is replayed is what the actors saw, memory is bounded, runs resume. The hidden checks test its exercises."""

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import npfl139.runs
import solutions.r2d2 as r2d2
from grader.contract.registry import load
from grader.grading.diagnosis import trusted
from grader.grading.grade import verdict_of
from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.recurrent.actors import play
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor
from npfl139.seeding import numpy_stream

TINY = r2d2.R2D2Config(
    seed=3, env_count=4, sequence_length=8, sequence_period=4, burn_in=3, replay_rows=2000, replay_sequences=200, batch_size=6,
    memory_size=8, head_size=8,
)  # fmt: skip
LONG = dataclasses.replace(TINY, steps=10_000_000, learning_starts=500, steps_per_update=32)


class Images(gymnasium.vector.VectorWrapper):
    """Noisy pictures in the place of observations."""

    def __init__(self, environments):
        super().__init__(environments)
        self.single_observation_space = gymnasium.spaces.Box(0, 255, (36, 36), np.uint8)
        self.rng = np.random.default_rng(1)

    def pictures(self):
        return self.rng.integers(256, size=(self.num_envs, 36, 36), dtype=np.uint8)

    def reset(self, *, seed=None, options=None):
        return self.pictures(), self.env.reset(seed=seed, options=options)[1]

    def step(self, actions):
        _, *rest, info = self.env.step(actions)
        return self.pictures(), *rest, info | ({"final_obs": self.pictures()} if info else {})


def played(environments, config, steps):
    """Return an agent, its replay after some steps of its actors, and what its network said about each (stream, row)."""
    agent = r2d2.make_agent(environments.single_observation_space, environments.single_action_space, config)
    replay = r2d2.make_replay(agent, config)
    collector = Collector(environments)
    actors = agent.explorers(np.full(config.env_count, 0.5), numpy_stream(1, "exploration"))
    said = {}
    network = agent.network

    def listening(inputs, state):
        q, state = network(inputs, state)
        said.update({(b, int(replay.store.written[b])): q[0, b] for b in range(config.env_count)})
        return q, state

    agent.network = listening
    for _ in range(steps):
        replay.add(np.arange(config.env_count), *play(collector, actors))
    agent.network = network
    return agent, replay, said


@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize(("wrap", "changes"), [(lambda vector: vector, {}), (Images, {"frame_stack": 3}), (Images, {})])
def test_replaying_a_sequence_gives_the_values_that_the_actors_saw(wrap, changes, burn_in):
    config = dataclasses.replace(TINY, burn_in=burn_in, **changes)
    agent, replay, said = played(wrap(envs.make("npfl139/CueRecall-v0", 4, 5, corridor=9, max_episode_steps=25)), config, 120)
    sequences = replay.sample(np.linspace(0, 0.99, 64))
    with torch.no_grad():
        q = agent.values(agent.network, agent.batch(sequences))
    slot = sequences.key % len(replay.key)
    compared = 0
    for b, (stream, start, steps) in enumerate(zip(replay.stream[slot], replay.start[slot], replay.steps[slot], strict=True)):
        for t in range(steps):
            torch.testing.assert_close(q[t, b], said[stream, start + t], atol=1e-5, rtol=1e-4)
            compared += 1
    assert compared > 64 * 5 and sequences.warm.any() and not sequences.warm.all() and (sequences.length < 8).any()


def test_only_terminated_episodes_are_stored_as_terminated():
    config = dataclasses.replace(TINY, env_count=2)
    _, replay, _ = played(envs.make("npfl139/CueRecall-v0", 2, 5, corridor=60, max_episode_steps=10), config, 60)
    assert not replay.store.columns["terminated"].any()
    _, replay, _ = played(envs.make("npfl139/CueRecall-v0", 2, 5, corridor=1, max_episode_steps=1000), config, 60)
    assert replay.store.columns["terminated"].sum() > 10


def test_a_time_limit_that_is_part_of_the_task_is_an_end():
    config = dataclasses.replace(TINY, env_count=2, time_limit="end")
    _, replay, _ = played(envs.make("npfl139/CueRecall-v0", 2, 5, corridor=60, max_episode_steps=10), config, 60)
    assert replay.store.columns["terminated"].sum() == 2 * 6


@pytest.mark.parametrize(("streams", "rows", "sequences"), [(2, 100, 50), (5, 1000, 640), (1, 64, 10)])
def test_memory_is_what_the_docstring_says(streams, rows, sequences):
    fields = {"frame": ((84, 84), "uint8", 4), "action": ((), "int64")}
    replay = r2d2.SequenceReplay(fields, streams, rows, sequences, 8, 4, 4, 16, 0.9)
    bound = streams * rows * (84 * 84 + 8 + 8) + sequences * (4 * 16 + 80) + streams * (4 + 8 + 2) * 4 * 16 + 24 * streams
    assert 0.9 * bound < replay.nbytes <= bound


def test_the_paper_replay_takes_the_memory_that_is_stated():
    config = r2d2.CONFIGS["paper"]
    agent = r2d2.make_agent(gymnasium.spaces.Box(0, 255, (84, 84), np.uint8), gymnasium.spaces.Discrete(18), config)
    row = sum(int(np.prod(shape, dtype=int)) * np.dtype(kind).itemsize for shape, kind, *_ in agent.fields.values())
    states = 4 * agent.network.state_size
    memory = config.replay_rows * (row + 8) + config.replay_sequences * (states + 80) + config.env_count * (40 + 80 + 2) * states
    assert agent.network.state_size == 1024 and f"{memory / 1e9:.1f} GB" in " ".join(r2d2.SequenceReplay.__doc__.split())


def test_a_replay_that_cannot_work_is_refused():
    fields = {"x": ((), "float32")}
    for arguments in ((1, 50, 9, 4, 5, 0), (1, 50, 9, 4, 2, 3), (1, 50, 9, 4, 0, 0)):
        with pytest.raises(ValueError, match="must hold"):
            r2d2.SequenceReplay(fields, *arguments, 1, 1.0)
    for arguments in ((1, 7, 9, 4, 2, 1), (3, 50, 2, 4, 2, 1)):
        with pytest.raises(ValueError, match="too few"):
            r2d2.SequenceReplay(fields, *arguments, 1, 1.0)


def test_a_replay_beyond_all_memory_is_refused_in_words():
    agent = r2d2.make_agent(gymnasium.spaces.Box(-1, 1, (2,), np.float32), gymnasium.spaces.Discrete(2), TINY)
    with pytest.raises(ValueError, match="choose fewer by --replay-rows"):
        r2d2.make_replay(agent, dataclasses.replace(TINY, replay_rows=10**16))


def test_a_saved_replay_goes_on(tmp_path):
    environments = envs.make("npfl139/CueRecall-v0", 4, 5, corridor=9, max_episode_steps=25)
    _, replay, _ = played(environments, TINY, 100)
    replay.update_priorities(np.arange(3, 9), np.linspace(0.1, 7, 6))
    replay.save(tmp_path)
    agent, other, _ = played(environments, TINY, 0)
    other.load(tmp_path)
    numbers = np.linspace(0, 0.99, 40)
    expected, loaded = replay.sample(numbers), other.sample(numbers)
    for first, second in zip(expected[:-1], loaded[:-1], strict=True):
        np.testing.assert_array_equal(first, second)
    for name, column in expected.rows.items():
        np.testing.assert_array_equal(column, loaded.rows[name])
    assert other.max_priority == 7 and len(other) == len(replay)
    collector, actors = Collector(environments), agent.explorers(np.full(4, 0.5), numpy_stream(1, "exploration"))
    for _ in range(600):
        other.add(np.arange(4), *play(collector, actors))
    assert len(other) <= 200 and other.added > replay.added
    other.sample(numbers)


def test_a_replay_of_another_size_is_not_loaded(tmp_path):
    environments = envs.make("npfl139/CueRecall-v0", 4, 5)
    played(environments, TINY, 50)[1].save(tmp_path)
    for changes in ({"memory_size": 16}, {"replay_sequences": 100}):
        with pytest.raises(ValueError, match="sequences of another kind"):
            played(environments, dataclasses.replace(TINY, **changes), 0)[1].load(tmp_path)


def test_a_run_resumes_with_its_replay(tmp_path):
    config = dataclasses.replace(TINY, steps=2000, learning_starts=500)
    first = npfl139.runs.run(r2d2, "npfl139/CueRecall-v0", config, tmp_path / "run")
    resumed = npfl139.runs.run(r2d2, "npfl139/CueRecall-v0", dataclasses.replace(config, steps=3000), tmp_path / "run", resume=True)
    assert first.updates == 12 and resumed.updates == 20
    logged = [steps for steps, _ in npfl139.runs.read_log(tmp_path / "run" / "log.csv")["loss"]]
    assert len(logged) == 20 and logged == sorted(logged)
    (tmp_path / "run" / "memory" / "sequences.npy").unlink()
    with pytest.raises(npfl139.runs.RunError, match="memory of the run"):
        npfl139.runs.run(r2d2, "npfl139/CueRecall-v0", dataclasses.replace(config, steps=3500), tmp_path / "run", resume=True)


KILLED = """
import functools, sys
import npfl139.runs
import solutions.r2d2 as r2d2
from tests.test_r2d2 import LONG

npfl139.runs.RunMonitor = functools.partial(npfl139.runs.RunMonitor, checkpoint_seconds=0.2)
npfl139.runs.run(r2d2, "npfl139/CueRecall-v0", LONG, sys.argv[1], resume=True)
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path):
    checkpoint, updates = tmp_path / "agent.safetensors", 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
        seen = set()
        while len(seen) < 4 and process.poll() is None:
            if checkpoint.exists():
                seen.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        before, updates = updates, int(load_file(checkpoint)["agent/updates"])
        assert updates > before

    steps = int(npfl139.runs.read_metadata(checkpoint)["steps"])
    log = npfl139.runs.read_log(tmp_path / "log.csv")
    assert max(points[-1][0] for points in log.values()) >= steps
    agent = npfl139.runs.run(r2d2, "npfl139/CueRecall-v0", dataclasses.replace(LONG, steps=steps + 1000), tmp_path, resume=True)
    resumed = npfl139.runs.read_log(tmp_path / "log.csv")["loss"]
    kept = [point for point in log["loss"] if point[0] <= steps]
    assert resumed[: len(kept)] == kept and len(resumed) > len(kept)
    logged = [step for step, _ in resumed]
    assert logged == sorted(logged) and max(np.diff(logged)) <= LONG.steps_per_update + LONG.env_count  # neither gap nor repetition
    assert abs(len(logged) - agent.updates) <= 3  # the update whose logging wrote the checkpoint, once for each of the three runs


def test_training_stays_within_its_steps():
    environments = envs.Tracked(envs.make("npfl139/CueRecall-v0", 4, 5), MemoryMonitor())
    r2d2.train(environments, dataclasses.replace(TINY, steps=203), MemoryMonitor())
    assert environments.steps == 200


def test_learning_waits_for_the_first_sequence():
    environments = envs.make("npfl139/CueRecall-v0", 4, 5, corridor=60)
    agent = r2d2.train(environments, dataclasses.replace(TINY, steps=40, learning_starts=0, steps_per_update=4), MemoryMonitor())
    assert agent.updates == 10


def test_acting_forgets_where_an_episode_starts_and_remembers_elsewhere():
    environments = envs.make("npfl139/CueRecall-v0", 2, 5)
    agent, _, _ = played(environments, dataclasses.replace(TINY, env_count=2), 0)
    observation = np.zeros((3, 5), np.float32)
    agent.act(observation, np.zeros(3), np.ones(3, bool))
    fresh = agent._evaluators.state.clone()
    agent.act(observation, np.ones(3), np.array([True, False, True]))
    assert torch.equal(agent._evaluators.state[[0, 2]], fresh[[0, 2]]) and not torch.equal(agent._evaluators.state[1], fresh[1])
    assert agent.act(observation[:2], np.zeros(2), np.ones(2, bool)).shape == (2,)


def test_actions_that_do_not_start_at_0():
    space = gymnasium.spaces.Discrete(3, start=5)
    agent = r2d2.make_agent(gymnasium.spaces.Box(-1, 1, (2,), np.float32), space, TINY)
    actions = agent.act(np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32), np.zeros(50), np.ones(50, bool))
    assert all(space.contains(action) for action in actions)


def test_what_the_agent_cannot_handle_is_refused():
    box, discrete = gymnasium.spaces.Box(-1, 1, (2,), np.float32), gymnasium.spaces.Discrete(2)
    with pytest.raises(ValueError, match="actions must be Discrete"):
        r2d2.make_agent(box, box, TINY)
    with pytest.raises(ValueError, match="5 × 5 pixels"):
        r2d2.make_agent(gymnasium.spaces.Box(0, 255, (20, 4), np.uint8), discrete, TINY)
    with pytest.raises(ValueError, match="one number for each of the 2"):
        r2d2.make_agent(box, discrete, dataclasses.replace(TINY, observation_scale=(1.0, 2.0, 3.0)))
    for field in ("rewards", "memory", "replayed_state", "time_limit"):
        with pytest.raises(ValueError, match=f"{field} must be"):
            dataclasses.replace(TINY, **{field: "other"})


@pytest.mark.parametrize("changes", [{"rewards": "clipped"}, {"memory": "none"}, {"replayed_state": "zero"}, {"burn_in": 0}])
def test_every_ablation_trains(changes):
    config = dataclasses.replace(TINY, steps=1200, learning_starts=400, target_period=3, **changes)
    monitor = MemoryMonitor()
    agent = r2d2.train(envs.make("npfl139/TwoRooms-v0", 4, 1), config, monitor)
    assert agent.updates == 7 and np.isfinite([value for _, value in monitor.scalars["loss"]]).all()


@pytest.mark.parametrize(
    "exercise", ["dueling", "n_step_double_q_targets", "SequenceReplay.add", "SequenceReplay.sample", "SequenceReplay.update_priorities"]
)
def test_one_mistake_costs_one_exercise(exercise):
    """Other exercises call these, or stand on what they leave; their checks must not."""
    topic = load("r2d2")
    for mistake in topic.mistakes:
        if mistake.exercise == exercise:
            student = trusted(topic, mistake.edited(topic.solution.read_text()), topic.solution.name)
            others = [check for check in topic.checks if check.exercise != exercise]
            failed = {check.name: verdict for check in others if (verdict := verdict_of(topic, check, student, 0)[0]) != "passed"}
            assert not failed, mistake.name


class Keeping(MemoryMonitor):
    """A monitor that keeps the replay."""

    def watch(self, agent, memory=None):
        self.memory = memory
        return 0


def test_the_agent_learns_to_recall_a_cue_and_promises_no_more_than_there_is():
    config, monitor = dataclasses.replace(r2d2.CONFIGS["npfl139/CueRecall-v0"], seed=1), Keeping()
    agent = r2d2.train(envs.make("npfl139/CueRecall-v0", config.env_count, 1), config, monitor)
    assert evaluate(agent.act, envs.make("npfl139/CueRecall-v0", 100, 2), 100).mean() >= 0.85
    batch = agent.batch(monitor.memory.sample(np.linspace(0, 0.999, 200)))
    with torch.no_grad():
        q = agent.values(agent.network, batch)[:-1][batch.mask > 0]
    assert r2d2.rescale_inverse(q, config.rescale_epsilon).max() < 1.2  # of the best return, 1
