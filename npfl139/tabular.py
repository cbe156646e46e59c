"""Markov decision processes small enough to be written down as arrays, for exact computations, and trajectories in them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["MarkovDecisionProcess", "Trajectories", "random_policy", "random_process"]


class Trajectories(NamedTuple):
    """T consecutive steps of B trajectories, tensors [T, B]."""

    state: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor  # γ, or 0 where the step ended the episode
    same_episode: Tensor  # 0 where the next row belongs to another episode
    next_state: Tensor  # the true successor


class MarkovDecisionProcess(NamedTuple):
    """Arrays [S, A, S], indexed by state, action and successor, in float64."""

    transition: Tensor  # probability of the successor; sums to 1 over the last axis
    reward: Tensor
    discount: Tensor  # γ, or 0 where the transition ends the episode

    def action_values(self, policy: Tensor) -> Tensor:
        """Return q_π [S, A] of a policy [S, A], as the solution of the linear equations that define it."""
        onwards = (self.transition * self.discount)[..., None] * policy  # [S, A, S, A]: from a pair of state and action to the next
        matrix = torch.eye(policy.numel(), dtype=torch.float64) - onwards.reshape(policy.numel(), policy.numel())
        return torch.linalg.solve(matrix, (self.transition * self.reward).sum(dim=-1).flatten()).view(policy.shape)

    def rollout(self, policy: Tensor, length: int, count: int, rng: np.random.Generator) -> Trajectories:
        """Return `count` trajectories of `length` steps under a policy [S, A]; episodes start in any state, all equally likely."""
        transition, probability = self.transition.numpy(), policy.numpy()
        states = len(probability)
        state, steps = rng.integers(states, size=count), []
        for _ in range(length):
            action = _drawn(probability[state], rng)
            successor = _drawn(transition[state, action], rng)
            reward, discount = self.reward.numpy()[state, action, successor], self.discount.numpy()[state, action, successor]
            steps.append((state, action, reward, discount, (discount > 0).astype(np.float64), successor))
            state = np.where(discount > 0, successor, rng.integers(states, size=count))
        return Trajectories(*(torch.as_tensor(np.stack(column)) for column in zip(*steps, strict=True)))


def random_process(
    rng: np.random.Generator, states: int, actions: int, successors: int, gamma: float = 0.9, ending: float = 0.0, reward_scale: float = 1.0
) -> MarkovDecisionProcess:
    """Return a process with normally distributed rewards, in which each action leads to one of a few random successors.

    Args:
        successors: how many states can follow a state and action; 1 makes the process deterministic.
        gamma: γ.
        ending: probability that a transition is one that ends the episode.
        reward_scale: standard deviation of the rewards.
    """
    transition = np.zeros((states, actions, states))
    for state, action in np.ndindex(states, actions):
        transition[state, action, rng.choice(states, successors, replace=False)] = rng.dirichlet(np.ones(successors))
    reward = rng.normal(scale=reward_scale, size=transition.shape)
    discount = np.where(rng.random(transition.shape) < ending, 0.0, gamma)
    return MarkovDecisionProcess(*map(torch.as_tensor, (transition, reward, discount)))


def random_policy(rng: np.random.Generator, states: int, actions: int, concentration: float = 1.0) -> Tensor:
    """Return a policy [S, A] in float64, each row from a Dirichlet distribution; small concentrations are nearly deterministic."""
    policy = rng.gamma(concentration, size=(states, actions)) + 1e-3
    return torch.as_tensor(policy / policy.sum(axis=1, keepdims=True))


def _drawn(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one index for each row of probabilities [B, K]."""
    cumulative = probability.cumsum(axis=1)
    drawn = (rng.random((len(probability), 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1)
    return np.minimum(drawn, probability.shape[1] - 1)
