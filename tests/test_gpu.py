"""The agents with a memory on a GPU: they act and learn there as on the CPU, and nothing warns."""

import dataclasses

import gymnasium
import numpy as np
import pytest
import torch

import solutions.agent57 as agent57
import solutions.ngu as ngu
import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.checkpoints import load_checkpoint, save_checkpoint
from npfl139.recurrent.actors import play
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor
from npfl139.seeding import numpy_stream

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


SMALL = {
    "steps": 900, "env_count": 4, "sequence_length": 8, "sequence_period": 4, "burn_in": 3, "replay_rows": 2000, "replay_sequences": 200,
    "batch_size": 6, "memory_size": 8, "head_size": 8, "learning_starts": 400, "steps_per_update": 96,
}  # fmt: skip


@pytest.mark.parametrize("topic", [r2d2, ngu, agent57])
def test_an_agent_trains_on_a_gpu(topic, tmp_path):
    config = next(iter(topic.CONFIGS.values()))
    environments = envs.make("npfl139/SmallDiscoMaze-v0", 4, 1)
    monitor = MemoryMonitor()
    agent = topic.train(environments, dataclasses.replace(config, device="cuda", **SMALL), monitor)
    assert agent.updates == 6 and np.isfinite([loss for _, loss in monitor.scalars["loss"]]).all()
    save_checkpoint(tmp_path / "agent.safetensors", agent, {})
    spaces = environments.single_observation_space, environments.single_action_space
    other = topic.make_agent(*spaces, dataclasses.replace(config, device="cpu", **SMALL))
    load_checkpoint(tmp_path / "agent.safetensors", other)
    observation, reward, first = environments.reset()[0], np.zeros(4), np.ones(4, bool)
    np.testing.assert_array_equal(agent.act(observation, reward, first), other.act(observation, reward, first))


@pytest.mark.parametrize("topic", [r2d2, ngu, agent57])
def test_the_loss_on_a_gpu_is_that_on_the_cpu(topic):
    box, actions = gymnasium.spaces.Box(0, 255, (36, 36), np.uint8), gymnasium.spaces.Discrete(4)
    losses = []
    for device in ("cpu", "cuda"):
        config = dataclasses.replace(topic.CONFIGS["paper"], device=device, **SMALL)
        agent = topic.make_agent(box, actions, config)
        replay = r2d2.make_replay(agent, config)
        rng = np.random.default_rng(1)
        row = {name: np.zeros((4, *shape), kind) for name, (shape, kind, *_) in agent.fields.items()}
        for _ in range(60):
            row |= {"observation": rng.integers(256, size=(4, 36, 36), dtype=np.uint8), "action": rng.integers(4, size=4)}
            row |= {"behaviour": np.ones(4, np.float32)} if "behaviour" in row else {}
            replay.add(np.arange(4), row, np.zeros((4, agent.network.state_size), np.float32), np.zeros(4, bool), row)
        losses.append(agent.improve(replay.sample(np.linspace(0, 0.99, 6)), len(replay))[1]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_play_keeps_the_episodic_memory_on_the_gpu():
    config = dataclasses.replace(ngu.CONFIGS["npfl139/SmallDiscoMaze-v0"], device="cuda", **SMALL)
    environments = envs.make("npfl139/SmallDiscoMaze-v0", 4, 1)
    agent = ngu.make_agent(environments.single_observation_space, environments.single_action_space, config)
    actors, collector = agent.explorers(np.full(4, 0.5), numpy_stream(1, "exploration")), Collector(environments)
    experience = play(collector, actors)
    assert actors.memory.embeddings.is_cuda and np.isfinite(experience.row["intrinsic"]).all()
