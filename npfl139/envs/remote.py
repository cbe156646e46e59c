"""A vector environment whose steps are computed elsewhere: the grader serves it, a submission trains on it."""

from collections.abc import Callable

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

__all__ = ["RemoteVectorEnv", "described_space", "space_of"]


class RemoteVectorEnv(VectorEnv):
    """Environments in the SAME_STEP autoreset mode, reached through two functions of plain values."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self, num_envs: int, observation_space: dict, action_space: dict,
        reset: Callable[[], np.ndarray], step: Callable[[np.ndarray], list],
    ):  # fmt: skip
        """Connect to served environments.

        Args:
            num_envs: B.
            observation_space: of a single environment, as given by `described_space`.
            action_space: likewise.
            reset: returns the first observations [B, ...].
            step: takes actions [B, ...]; returns observations [B, ...], rewards [B], terminated [B], truncated [B], and the true last
                observations [B, ...] of the episodes that ended, or None if none did.
        """
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = space_of(observation_space), space_of(action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._reset, self._step = reset, step

    def reset(self, *, seed: int | list[int] | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Return the first observations. The seed is ignored: whoever serves the environments has chosen it."""
        return self._reset(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        observation, reward, terminated, truncated, final = self._step(np.asarray(actions))
        info = {} if final is None else {"final_obs": final, "_final_obs": terminated | truncated}
        return observation, reward, terminated, truncated, info


def described_space(space: Space) -> dict:
    """Return a Box or Discrete space as a dictionary of plain values.

    Raises:
        ValueError: it is a space of another kind.
    """
    if type(space) is Discrete:
        return {"count": int(space.n), "start": int(space.start)}
    if type(space) is Box:
        return {"low": space.low, "high": space.high}
    raise ValueError(f"only Box and Discrete spaces can be served, got {space}")


def space_of(description: dict) -> Space:
    """Return the space that `described_space` described.

    >>> space_of(described_space(Discrete(3)))
    Discrete(3)
    """
    if "count" in description:
        return Discrete(description["count"], start=description["start"])
    low, high = np.asarray(description["low"]), np.asarray(description["high"])
    return Box(low, high, low.shape, low.dtype.type)
