"""Actors: recurrent policies at work in vector environments, and what they leave for a replay."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from npfl139.rollout import Collector
from npfl139.seeding import numpy_stream

__all__ = ["ActingAgent", "Actor", "Actors", "Experience", "Experiences", "experiences", "making_tensors_on", "play"]


def making_tensors_on(device: torch.device) -> AbstractContextManager:
    """Return a context in which `torch.arange`, `torch.zeros`, ... make what they make on a GPU: formulas need not name the device.

    On the CPU, where all of this is anyway, it does nothing and costs nothing.
    """
    return nullcontext() if device.type == "cpu" else device


class ActingAgent(Protocol):
    """What actors need of an agent."""

    config: Any  # with seed, steps, frame_stack and time_limit
    network: Any  # with state_size
    device: torch.device
    first_action: int  # number of the environment's first action
    observation_dtype: str  # "uint8" or "float32"

    @property
    def fields(self) -> Mapping[str, tuple]:
        """The columns of a row that is stored."""

    def action_values(self, inputs: dict[str, Tensor], state: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values [T, B, A] that actors act by, and the next state."""

    def explorers(self, epsilon: np.ndarray, rng: np.random.Generator) -> "Actors":
        """Return actors that explore with the given ε [B]."""

    def load_weights(self, weights: Any) -> None:
        """Act with the weights of another agent."""


class Experience(NamedTuple):
    """One step of B streams, as a replay stores it."""

    row: dict[str, np.ndarray]  # by name [B, ...], what the network saw and what came of it
    state: np.ndarray  # [B, S] the recurrent state before the network saw the row
    ended: np.ndarray  # [B] bool, whether the episode terminated or was truncated with the step
    successor: dict[str, np.ndarray]  # by name [B, ...], what the network sees after the last step; of use where the episode ended


class Actors:
    """An ε-greedy policy at work in B environments: remembers their recurrent states, previous actions and latest observations.

    A subclass may give each row a policy of its own for an episode (`begin`), make more of a step than its reward (`experience`), and show
    either to the network (`see`).
    """

    def __init__(self, agent: ActingAgent, epsilon: np.ndarray, rng: np.random.Generator):
        """Start with ε-greedy policies with the given ε [B]."""
        self.agent, self.epsilon, self.rng = agent, epsilon, rng
        self.state = torch.zeros(len(epsilon), agent.network.state_size, device=agent.device)
        self.previous_action = np.full(len(epsilon), -1)
        self.behaviour = np.ones(len(epsilon), np.float32)  # [B] the probability μ(a|x) of the latest actions
        self.frames: np.ndarray | None = None  # [B, stack, ...] the latest observations, where they are stacked

    def begin(self, observation: np.ndarray, first: np.ndarray) -> None:
        """Prepare the rows in which an episode begins with the observation, those where `first`. It is called before every step."""

    def see(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the network sees next of each row, unstacked, as a row of the replay."""
        return {
            "observation": observation.astype(self.agent.observation_dtype, copy=False),
            "previous_action": np.where(first, -1, self.previous_action),
            "previous_reward": np.where(first, 0, reward).astype(np.float32),
        }

    def act(self, seen: dict[str, np.ndarray], first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the actions [B], counted from 0, and the recurrent states [B, S] before the network saw the rows."""
        state = self.state
        with torch.no_grad():
            starts = torch.from_numpy(first)[None].to(state.device)
            q, self.state = self.agent.action_values(self._stacked(seen, first), state, starts)
        actions, greedy = q.shape[-1], q[0].argmax(-1).cpu().numpy()
        explore = self.rng.random(len(first)) < self.epsilon
        self.previous_action = np.where(explore, self.rng.integers(actions, size=len(first)), greedy)
        probability = self.epsilon / actions + (1 - self.epsilon) * (self.previous_action == greedy)
        self.behaviour = probability.astype(np.float32)
        return self.previous_action, state.cpu().numpy()

    def experience(self, next_observation: np.ndarray, reward: np.ndarray) -> dict[str, np.ndarray]:
        """Return what else came of the step just made, by name [B, ...], such as an intrinsic reward.

        It is called between step and store, with the true successors. While a policy is evaluated, an episode that begins hides the true
        successor of the one before; what is made of such a row `begin` must forget.
        """
        return {}

    def _stacked(self, seen: dict[str, np.ndarray], first: np.ndarray) -> dict[str, Tensor]:
        observation, stack = seen["observation"], self.agent.config.frame_stack
        if stack > 1:
            repeated = np.repeat(observation[:, None], stack, 1)
            frames = repeated if self.frames is None else np.concatenate([self.frames[:, 1:], observation[:, None]], 1)
            frames[first] = repeated[first]
            self.frames = frames
            seen = seen | {"observation": frames}
        return {name: torch.from_numpy(column)[None].to(self.agent.device) for name, column in seen.items()}


def play(collector: Collector, actors: Actors) -> Experience:
    """Make one step in every environment; return the columns of it that the agent's `fields` name.

    Whether an episode that ran out of time counts as terminated is `time_limit` in the agent's configuration.
    """
    agent = actors.agent
    with making_tensors_on(agent.device):
        actors.begin(collector.observation, collector.first)
        seen = actors.see(collector.observation, collector.reward, collector.first)
        action, state = actors.act(seen, collector.first)
    step = collector.step(action + agent.first_action)
    ended = collector.first
    with making_tensors_on(agent.device):
        more = actors.experience(step.next_observation, step.reward)
    terminated = ended if agent.config.time_limit == "end" else step.terminated
    outcome = {"action": action, "reward": step.reward, "terminated": terminated, "behaviour": actors.behaviour} | more
    successor = actors.see(step.next_observation, step.reward, np.zeros_like(ended))
    nothing = {name: np.zeros_like(column) for name, column in outcome.items()} | {"behaviour": np.ones_like(actors.behaviour)}
    rows = ({name: columns[name] for name in agent.fields} for columns in (seen | outcome, successor | nothing))
    return Experience(next(rows), state, ended, next(rows))


class Experiences(Protocol):
    """What actors deliver, wherever they are: (streams [B], a step of them), until the training has had all its steps."""

    @property
    def steps(self) -> int:
        """Steps of the environments so far."""

    def __iter__(self) -> Iterator[tuple[np.ndarray, Experience]]:
        """Let the actors work."""


class _Here:
    """What actors in this process deliver, all at the same time."""

    def __init__(self, agent: ActingAgent, environments: VectorEnv, epsilon: np.ndarray, steps: int):
        self.collector = Collector(environments, steps)
        self.actors = agent.explorers(epsilon, numpy_stream(agent.config.seed, "exploration", steps))

    @property
    def steps(self) -> int:
        return self.collector.steps

    def __iter__(self) -> Iterator[tuple[np.ndarray, Experience]]:
        streams = np.arange(len(self.collector.first))
        while self.steps + len(streams) <= self.actors.agent.config.steps:
            yield streams, play(self.collector, self.actors)


def experiences(
    agent: ActingAgent, environments: Any, epsilon: np.ndarray, steps: int, abandon: Callable[[np.ndarray], None]
) -> Experiences:
    """Return what actors see and do, in this process or elsewhere.

    Args:
        agent: the learner's, with whose newest weights they act.
        environments: those to act in; or what knows where they are, with a method `experiences` of the other arguments.
        epsilon: [B] of the actors, one for each environment.
        steps: of the environments so far.
        abandon: called with the streams [K] of actors that are lost, whose next step belongs to another episode.
    """
    if hasattr(environments, "experiences"):
        return environments.experiences(agent, epsilon, steps, abandon)
    return _Here(agent, environments, epsilon, steps)


class Actor:
    """Environments and the actors in them, wherever they are: they deliver what they saw and did in chunks of steps.

    The agent is a copy of the learner's, made of the same configuration; only its `load_weights` is needed beside what `Actors` need.
    """

    def __init__(self, agent: ActingAgent, environments: VectorEnv, epsilon: np.ndarray, seed: int):
        """Start with ε-greedy policies with the given ε [B], one for each environment; actors of one run have different seeds."""
        self.agent, self.collector = agent, Collector(environments)
        self.actors = agent.explorers(epsilon, numpy_stream(seed, "exploration"))

    def collect(self, weights: dict | None, steps: int) -> list[Experience]:
        """Return what `steps` steps in every environment gave, with the weights of the learner's `weights()`, or the old ones if None."""
        if weights is not None:
            self.agent.load_weights(weights)
        return [play(self.collector, self.actors) for _ in range(steps)]
