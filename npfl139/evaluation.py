"""Returns of a policy, over a number of episodes fixed in advance."""

import numpy as np
from gymnasium.vector import VectorEnv

from npfl139.rollout import Collector, Policy

__all__ = ["evaluate"]


def evaluate(policy: Policy, environments: VectorEnv, episodes: int) -> np.ndarray:
    """Return the undiscounted returns [episodes] of the policy, row after row.

    Each row plays a number of episodes that is fixed in advance, `episodes` / B rounded up or down. To take the first
    `episodes` that finish would favour short ones: a policy that falls half of the time would look as if it always did.

    Args:
        policy: (observation [B, ...], previous reward [B], first [B]) -> action [B, ...], e.g. `agent.act`.
        environments: B rows in the SAME_STEP autoreset mode; they are reset.
        episodes: how many in all, at least 1.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    collector = Collector(environments)
    count = environments.num_envs
    quota = np.full(count, episodes // count) + (np.arange(count) < episodes % count)
    returns: list[list[float]] = [[] for _ in range(count)]
    running = np.zeros(count)
    while (quota > 0).any():
        transition = collector.step(policy(collector.observation, collector.reward, collector.first))
        running += transition.reward
        for row in np.flatnonzero(collector.first):
            if quota[row] > 0:
                returns[row].append(running[row])
                quota[row] -= 1
            running[row] = 0
    return np.concatenate(returns)
