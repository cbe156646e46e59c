"""What agents with a memory are made of: torsos, actors that deliver in chunks. An agent with two heads, arms and curiosity on R2D2."""

import dataclasses
from collections import deque
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

import npfl139.runs
import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.checkpoints import RunError, load_checkpoint, save_checkpoint
from npfl139.evaluation import evaluate
from npfl139.recurrent.actors import Actor, Actors, play
from npfl139.recurrent.networks import Convolutions, RecurrentNetwork, Vectors
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor
from npfl139.seeding import numpy_stream

BETA = torch.tensor([0.0, 0.5, 1.0])  # of the arms
TINY = r2d2.R2D2Config(
    seed=3, steps=1600, env_count=4, sequence_length=8, sequence_period=4, burn_in=3, replay_rows=2000, replay_sequences=200, batch_size=6,
    memory_size=8, head_size=8, learning_starts=400,
)  # fmt: skip


class ConditionedNetwork(r2d2.RecurrentQNetwork):
    INPUTS = (*r2d2.RecurrentQNetwork.INPUTS, "previous_intrinsic", "arm")

    @classmethod
    def extra_size(cls, action_count, config):
        return super().extra_size(action_count, config) + 1 + len(BETA)

    def extra(self, inputs):
        arm = nn.functional.one_hot(inputs["arm"], len(BETA))
        return torch.cat([super().extra(inputs), inputs["previous_intrinsic"][..., None], arm], -1)


class SplitNetwork(nn.Module):
    INPUTS = ConditionedNetwork.INPUTS

    def __init__(self, *arguments):
        super().__init__()
        self.heads = nn.ModuleList(ConditionedNetwork(*arguments) for _ in range(2))
        self.state_size = sum(head.state_size for head in self.heads)

    def forward(self, inputs, state):
        q, states = zip(*(head(inputs, part) for head, part in zip(self.heads, state.chunk(2, -1), strict=True)), strict=True)
        return torch.stack(q, -2), torch.cat(states, -1)


class Bandit:
    """Remembers (arm, return) of the latest episodes."""

    def __init__(self):
        self.history = deque(maxlen=20)

    def state_dict(self):
        return {"history": torch.tensor(self.history).view(-1, 2)}

    def load_state_dict(self, state):
        self.history = deque(map(tuple, state["history"].tolist()), maxlen=20)


class CuriousActors(Actors):
    def __init__(self, agent, epsilon, rng, bandit):
        super().__init__(agent, epsilon, rng)
        self.bandit = bandit
        self.arm, self.intrinsic, self.total = np.zeros(len(epsilon), np.int64), *np.zeros((2, len(epsilon)), np.float32)

    def begin(self, observation, first):
        for row in np.flatnonzero(first):
            self.bandit.history.append((float(self.arm[row]), float(self.total[row])))
            self.arm[row], self.total[row] = self.rng.integers(len(BETA)), 0

    def see(self, observation, reward, first):
        intrinsic = np.where(first, 0, self.intrinsic).astype(np.float32)
        return super().see(observation, reward, first) | {"previous_intrinsic": intrinsic, "arm": self.arm.copy()}

    def experience(self, next_observation, reward):
        self.total = self.total + reward
        self.intrinsic = self.agent.novelty(next_observation)
        return {"intrinsic": self.intrinsic}


class CuriousAgent(r2d2.Agent):
    network_type, acting = SplitNetwork, ("network", "embedding")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.embedding, self.bandit = nn.Linear(self.observation_shape[0], 2), Bandit()
        self.parts |= {"embedding": self.embedding, "bandit": self.bandit}
        self.optimizers["embedding"] = torch.optim.Adam(self.embedding.parameters(), 1e-3)

    @property
    def fields(self):
        new = {"previous_intrinsic": "float32", "arm": "int64", "intrinsic": "float32", "behaviour": "float32"}
        return super().fields | {name: ((), dtype) for name, dtype in new.items()}

    def explorers(self, epsilon, rng):
        return CuriousActors(self, epsilon, rng, self.bandit)

    def evaluators(self, count):
        return CuriousActors(self, np.zeros(count), numpy_stream(0, "unused"), Bandit())

    def novelty(self, observation):
        with torch.no_grad():
            return self.embedding(torch.from_numpy(observation)).square().sum(-1).numpy()

    def action_values(self, inputs, state, first):
        q, state = super().action_values(inputs, state, first)
        return q[..., 0, :] + BETA[inputs["arm"]][..., None] * q[..., 1, :], state

    def td_errors(self, batch):
        online = self.values(self.network, batch)
        with torch.no_grad():
            target = self.values(self.target, batch)
        errors = []
        for head, reward in enumerate(("reward", "intrinsic")):
            steps = batch.steps | {"reward": batch.steps[reward]}
            targets = self.targets(batch._replace(steps=steps), online[..., head, :], target[..., head, :])
            errors.append(targets - r2d2.chosen(online[:-1, :, head], batch.steps["action"]))
        return torch.stack(errors)

    def priority_error(self, td_error, batch):
        return td_error[0].abs() + BETA[batch.steps["arm"]] * td_error[1].abs()

    def learn_from(self, batch, replay_size):
        priority, scalars = super().learn_from(batch, replay_size)
        optimizer = self.optimizers["embedding"]
        optimizer.zero_grad()
        loss = self.embedding(batch.steps["observation"][-5:]).square().mean()
        loss.backward()
        optimizer.step()
        return priority, scalars | {"embedding_loss": loss.item()}


def curious(environments, config=TINY):
    return CuriousAgent(environments.single_observation_space, environments.single_action_space, config)


def cues(count=4, seed=5):
    return envs.make("npfl139/CueRecall-v0", count, seed, corridor=9, max_episode_steps=25)


def trained(environments, config, monitor):
    return r2d2.learn(curious(environments, config), environments, monitor)


def test_an_agent_of_two_heads_with_arms_and_curiosity_trains_and_acts():
    monitor = MemoryMonitor()
    agent = trained(cues(), TINY, monitor)
    assert agent.updates == 10 and len(agent.bandit.history) == 20
    assert all(np.isfinite([value for _, value in monitor.scalars[name]]).all() for name in ("loss", "embedding_loss"))
    before = list(agent.bandit.history)
    assert evaluate(agent.act, cues(20, 6), 20).shape == (20,)
    assert list(agent.bandit.history) == before


def test_two_heads_learn_as_two_agents_would():
    """Where the second head has no reward of its own and no weight, the first one's errors and priorities are R2D2's."""
    environments = cues()
    agent, replay = curious(environments), None
    replay = r2d2.make_replay(agent, TINY)
    collector, actors = Collector(environments), agent.explorers(np.full(4, 0.5), numpy_stream(1, "exploration"))
    actors.rng = SimpleNamespace(random=np.random.default_rng(1).random, integers=lambda high, size=None: np.zeros(size or (), np.int64))
    for _ in range(60):
        replay.add(np.arange(4), *play(collector, actors))
    batch = agent.batch(replay.sample(np.linspace(0, 0.99, 6)))
    errors = agent.td_errors(batch)
    assert errors.shape == (2, 8, 6) and not batch.steps["arm"].any()
    single = r2d2.Agent(environments.single_observation_space, environments.single_action_space, TINY)
    single.network, single.target = agent.network.heads[0], agent.target.heads[0]
    alone = single.td_errors(batch._replace(state=batch.state[:, : single.network.state_size]))
    torch.testing.assert_close(errors[:1], alone)
    torch.testing.assert_close(agent.priority_error(errors, batch), alone[0].abs())


def test_arms_last_an_episode_and_rows_hold_the_probability_of_what_was_done():
    environments = cues()
    agent = curious(environments)
    epsilon = np.array([0.0, 0.3, 0.6, 1.0])
    collector, actors = Collector(environments), agent.explorers(epsilon, numpy_stream(1, "exploration"))
    steps = [play(collector, actors) for _ in range(80)]
    arm, ended = np.array([step.row["arm"] for step in steps]), np.array([step.ended for step in steps])
    assert (arm[1:] == arm[:-1])[~ended[:-1]].all() and len(np.unique(arm)) == 3
    behaviour = np.array([step.row["behaviour"] for step in steps])
    for row, explored in enumerate(epsilon):
        allowed = explored / 3, explored / 3 + 1 - explored
        assert np.isclose(behaviour[:, row, None], allowed).any(1).all()
    assert (behaviour[:, 0] == 1).all() and all((step.successor["behaviour"] == 1).all() for step in steps)
    np.testing.assert_allclose([step.successor["previous_intrinsic"] for step in steps], [step.row["intrinsic"] for step in steps])


def test_nothing_of_an_agent_with_further_parts_is_lost_when_it_resumes(tmp_path):
    module = SimpleNamespace(train=trained)
    first = npfl139.runs.run(module, "npfl139/CueRecall-v0", TINY, tmp_path)
    fresh = curious(cues())
    load_checkpoint(tmp_path / "agent.safetensors", fresh)
    assert fresh.updates == first.updates == 10 and list(fresh.bandit.history) == list(first.bandit.history)
    for name, tensor in first.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name
    for name, optimizer in first.optimizers.items():
        expected, loaded = optimizer.state_dict()["state"], fresh.optimizers[name].state_dict()["state"]
        assert expected and expected.keys() == loaded.keys()
        for index, state in expected.items():
            assert all(torch.equal(state[field], loaded[index][field]) for field in state)
    resumed = npfl139.runs.run(module, "npfl139/CueRecall-v0", dataclasses.replace(TINY, steps=2400), tmp_path, resume=True)
    assert resumed.updates == 16


def test_a_checkpoint_with_other_optimizers_is_refused(tmp_path):
    agent = trained(cues(), TINY, MemoryMonitor())
    save_checkpoint(tmp_path / "agent.safetensors", agent, {})
    other = curious(cues())
    del other.optimizers["embedding"]
    with pytest.raises(RunError, match=r"optimizers for \['embedding', 'network'\], the agent has \['network'\]"):
        load_checkpoint(tmp_path / "agent.safetensors", other)


def test_actors_that_deliver_in_chunks_fill_the_replay_as_actors_in_lock_step_do():
    learner, config = curious(cues()), dataclasses.replace(TINY, exploration_base=0.5)
    workers = [Actor(curious(cues(2, seed)), cues(2, seed), np.array([0.5, 0.1]), seed) for seed in (7, 8)]
    chunks = [[worker.collect(learner.weights(), 20) for worker in workers] for _ in range(4)]
    replay, lock_step = r2d2.make_replay(learner, config), r2d2.make_replay(learner, config)
    for pair in chunks:
        for number, chunk in enumerate(pair):
            for experience in chunk:
                replay.add(2 * number + np.arange(2), *experience)
        for steps in zip(*pair, strict=True):
            together = [
                {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
                if isinstance(parts[0], dict)
                else np.concatenate(parts)
                for parts in zip(*steps, strict=True)
            ]
            lock_step.add(np.arange(4), *together)
    assert len(replay) == len(lock_step) > 20
    entries = []
    for one in (replay, lock_step):
        slot = np.flatnonzero(one.key >= 0)
        slot = slot[np.lexsort((one.start[slot], one.stream[slot]))]
        entries.append([getattr(one, name)[slot] for name in ("stream", "start", "steps", "episode", "state")])
        np.testing.assert_array_equal(one.store.columns["observation"], replay.store.columns["observation"])
    for first, second in zip(*entries, strict=True):
        np.testing.assert_array_equal(first, second)


def test_actors_elsewhere_act_with_the_weights_of_the_learner():
    learner = curious(cues())
    with torch.no_grad():
        for parameter in learner.network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        learner.embedding.weight.mul_(2)
    worker = Actor(curious(cues(2)), cues(2), np.zeros(2), 1)
    worker.collect(learner.weights(), 1)
    assert all(torch.equal(tensor, learner.network.state_dict()[name]) for name, tensor in worker.agent.network.state_dict().items())
    assert torch.equal(worker.agent.embedding.weight, learner.embedding.weight)
    worker.collect(None, 1)
    assert worker.collector.steps == 4


@pytest.mark.parametrize("shape", [(36, 36), (5, 5), (3, 7, 9), (2, 3, 21, 21), (4, 84, 84)])
def test_images_of_many_sizes_become_features(shape):
    torso = Convolutions(shape, torch.Generator().manual_seed(1))
    image = torch.randint(256, (2, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    features = torso(image)
    assert features.shape == (2, 3, torso.output_size)
    torch.testing.assert_close(torso(image.float() / 255), features)
    torch.testing.assert_close(torso(image[1:, 2:])[0, 0], features[1, 2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sizes", [(), (4,), (5, 4)])
def test_vectors_of_integers_are_numbers_too(sizes):
    torso = Vectors(3, (2.0, 1.0, 0.5), sizes, torch.Generator().manual_seed(1))
    vector = torch.tensor([[[1, 0, 200]]], dtype=torch.uint8)
    features = torso(vector)
    assert features.dtype == torch.float32 and features.shape == (1, 1, torso.output_size)
    torch.testing.assert_close(features, torso(vector.float() / 255))
    if not sizes:
        torch.testing.assert_close(features.flatten(), torch.tensor([2.0, 0.0, 100.0]) / 255)


@pytest.mark.parametrize("box", [gymnasium.spaces.Box(0, 255, (7, 7), np.uint8), gymnasium.spaces.Box(0, 255, (6,), np.uint8)])
def test_agents_take_small_images_and_integer_vectors(box):
    agent = r2d2.make_agent(box, gymnasium.spaces.Discrete(3), TINY)
    observation = np.random.default_rng(1).integers(256, size=(4, *box.shape), dtype=np.uint8)
    assert agent.fields["observation"][1] == "uint8"
    assert agent.act(observation, np.zeros(4), np.ones(4, bool)).shape == (4,)


def test_the_memory_sees_the_previous_action_and_reward():
    network = RecurrentNetwork([2], 3, TINY, torch.Generator().manual_seed(1))
    inputs = {
        "observation": torch.zeros(1, 3, 2),
        "previous_action": torch.tensor([[-1, 0, 2]]),
        "previous_reward": torch.tensor([[0.0, 1, 2]]),
    }
    assert network.extra(inputs)[0].tolist() == [[0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 1, 2]]
    assert network.extra_size(3, TINY) == 4
    features, state = network(inputs, torch.zeros(3, network.state_size))
    assert features.shape == (1, 3, 8) and state.shape == (3, 16)


def test_a_torso_in_bfloat16_is_off_by_less_than_one_percent():
    shape, generator = (2, 84, 84), torch.Generator().manual_seed(2)
    exact, rounded = (Convolutions(shape, torch.Generator().manual_seed(1), precision) for precision in ("float32", "bfloat16"))
    image = torch.randint(256, (2, 8, *shape), dtype=torch.uint8, generator=generator)
    results = []
    for torso in (exact, rounded):
        features = torso(image)
        features.square().mean().backward()
        assert features.dtype == torch.float32 and all(layer.weight.grad.dtype == torch.float32 for layer in torso.layers)
        results.append([features.detach(), *(layer.weight.grad for layer in torso.layers)])
    errors = [((a - b).norm() / a.norm()).item() for a, b in zip(*results, strict=True)]
    assert all(0.001 < error < 0.01 for error in errors)


def test_a_torso_in_bfloat16_hardly_changes_values():
    boxes = gymnasium.spaces.Box(0, 255, (84, 84), np.uint8), gymnasium.spaces.Discrete(18)
    inputs = {
        "observation": torch.randint(256, (6, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)),
        "previous_action": torch.full((6, 4), -1),
        "previous_reward": torch.zeros(6, 4),
    }
    q = []
    for precision in ("float32", "bfloat16"):
        agent = r2d2.make_agent(*boxes, dataclasses.replace(TINY, torso_precision=precision, memory_size=64, head_size=64))
        with torch.no_grad():
            q.append(agent.network(inputs, torch.zeros(4, agent.network.state_size))[0])
    assert 0 < ((q[0] - q[1]).norm() / q[0].norm()).item() < 0.01
