"""Steps of a policy in vector environments, as time-major arrays that keep terminated and truncated episodes apart."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from npfl139.envs import expect_same_step

__all__ = ["Collector", "Policy", "Rollout", "Transition"]

Policy = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # (observation, previous reward, first) [B, ...] -> action [B, ...]


class Transition(NamedTuple):
    """One step of all rows, numpy arrays [B, ...]."""

    observation: np.ndarray
    previous_reward: np.ndarray  # 0 where an episode starts
    first: np.ndarray  # whether an episode starts
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_observation: np.ndarray  # the true successor, also where the episode ended


@dataclass(frozen=True)
class Rollout:
    """T consecutive steps of B rows, as tensors.

    `discount(γ)` and `same_episode` are what the mathematics takes; `values` gives V(s) and V(s') of every step.
    """

    observation: Tensor  # [T, B, ...]
    action: Tensor  # [T, B, ...]
    reward: Tensor  # [T, B]
    terminated: Tensor  # [T, B] bool
    truncated: Tensor  # [T, B] bool
    last_observation: Tensor  # [B, ...] where the rows stand after the T steps, a new episode's if one has just ended
    final_observation: Tensor  # [N, ...] true last observations of the N episodes that ended, in the order of ended.nonzero()

    @property
    def ended(self) -> Tensor:
        """[T, B] bool: the step was the last one of its episode."""
        return self.terminated | self.truncated

    @property
    def same_episode(self) -> Tensor:
        """[T, B] float: 0 where the next step belongs to another episode."""
        return (~self.ended).float()

    def discount(self, discount: float) -> Tensor:
        """[T, B] float: γ, or 0 where the episode terminated. A truncated episode keeps γ: its last state has a value."""
        return discount * (~self.terminated).float()

    @property
    def next_observation(self) -> Tensor:
        """[T, B, ...] the true successors: of an episode that ended its last observation, never the next episode's first."""
        return self._successors(self.observation, self.last_observation, self.final_observation)

    def values(self, value: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return the values of all observations and of all their true successors, [T, B] each.

        `value` maps observations [N, ...] to values [N]. It is called once, on every distinct observation.
        """
        length, count = self.reward.shape
        visited = self.observation.flatten(0, 1)
        everything = value(torch.cat([visited, self.last_observation, self.final_observation]))
        current, last, final = everything.split([length * count, count, len(self.final_observation)])
        current = current.view(length, count)
        return current, self._successors(current, last, final)

    def _successors(self, current: Tensor, last: Tensor, final: Tensor) -> Tensor:
        successors = torch.cat([current[1:], last[None]])
        successors[self.ended] = final
        return successors


class Collector:
    """Steps vector environments, remembering where each row stands.

    `observation`, `reward` and `first` ([B, ...]) are what the policy sees next; `steps` counts environment steps.
    """

    def __init__(self, environments: VectorEnv, steps: int = 0, execute: Callable[[np.ndarray], np.ndarray] | None = None):
        """Reset the environments.

        Args:
            environments: B rows in the SAME_STEP autoreset mode.
            steps: how many environment steps were made before, in a resumed run.
            execute: maps the policy's actions, which are what is recorded, to the environments', for a policy that squashes its actions.

        Raises:
            ValueError: another autoreset mode.
        """
        expect_same_step(environments)
        self.environments, self.steps, self.execute = environments, steps, execute or (lambda action: action)
        self.observation = environments.reset()[0]
        self.reward = np.zeros(environments.num_envs, np.float32)
        self.first = np.ones(environments.num_envs, bool)

    def step(self, action: np.ndarray) -> Transition:
        """Apply the actions [B, ...] and return what happened."""
        observation, reward, terminated, truncated, info = self.environments.step(self.execute(action))
        ended = terminated | truncated
        next_observation = observation
        if ended.any():
            next_observation = observation.copy()
            next_observation[ended] = np.stack(info["final_obs"][ended])
        reward = reward.astype(np.float32)
        transition = Transition(self.observation, self.reward, self.first, action, reward, terminated, truncated, next_observation)
        self.observation, self.reward, self.first = observation, np.where(ended, np.float32(0), reward), ended
        self.steps += len(reward)
        return transition

    def rollout(self, policy: Policy, length: int, device: str | torch.device = "cpu") -> Rollout:
        """Return `length` steps of all rows under the policy. Floating-point arrays become float32."""
        transitions: list[Transition] = []
        ended: list[np.ndarray] = []
        for _ in range(length):
            transition = self.step(policy(self.observation, self.reward, self.first))
            transitions.append(transition)
            ended.extend(transition.next_observation[self.first])
        final = np.stack(ended) if ended else self.observation[:0]
        over_time = ("observation", "action", "reward", "terminated", "truncated")
        arrays = [np.stack([getattr(transition, name) for transition in transitions]) for name in over_time]
        arrays += [self.observation, final]
        return Rollout(*(_tensor(array, device) for array in arrays))

    def rollouts(self, policy: Policy, length: int, steps: int, device: str | torch.device = "cpu") -> Iterator[Rollout]:
        """Yield rollouts until `steps` steps were made in all; the last may be shorter, so that there are never more."""
        while (left := (steps - self.steps) // self.environments.num_envs) > 0:
            yield self.rollout(policy, min(length, left), device)


def _tensor(array: np.ndarray, device: str | torch.device) -> Tensor:
    return torch.as_tensor(array.astype(np.float32) if array.dtype.kind == "f" else array.copy()).to(device)
