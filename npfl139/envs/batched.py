"""The base of our environments: a batch stepped by a few array operations, and the single environment made from it.

A new environment is one class that says how rows start, how they advance and what is observed:

    class WalkVector(BatchedEnv):
        def __init__(self, num_envs, max_episode_steps=20, render_mode=None):
            super().__init__(num_envs, Box(-np.inf, np.inf, (1,), np.float32), Discrete(2), max_episode_steps, render_mode)
            self.position = np.zeros(num_envs)

        def restart(self, rows): self.position[rows] = self.np_random.normal(size=len(rows))
        def advance(self, action): self.position += 2 * action - 1; return -np.abs(self.position), np.abs(self.position) > 9
        def observe(self): return self.position[:, None].astype(np.float32)

    class Walk(SingleEnv):
        batch_type = WalkVector

and one line in `npfl139/envs/__init__.py`.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Space
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from npfl139.actions import checked_actions

__all__ = ["BatchedEnv", "SingleEnv"]


class BatchedEnv(VectorEnv):
    """A vector environment in the SAME_STEP autoreset mode, with a time limit and checked actions.

    The limit truncates an episode, unless it is a part of the task (`limit_terminates`), where it terminates it.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": ["rgb_array"], "render_fps": 30}
    limit_terminates = False
    single_observation_space: Box

    def __init__(self, num_envs: int, observation_space: Box, action_space: Space, max_episode_steps: int, render_mode: str | None = None):
        """Declare a batch of `num_envs` environments with the given spaces of a single one."""
        if num_envs < 1:
            raise ValueError(f"there must be at least 1 environment, got {num_envs}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
        self.num_envs, self.max_episode_steps, self.render_mode = num_envs, max_episode_steps, render_mode
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space, self.action_space = batch_space(observation_space, num_envs), batch_space(action_space, num_envs)
        self.elapsed, self._started = np.zeros(num_envs, np.int64), False  # [B] steps made in the current episodes

    def restart(self, rows: np.ndarray) -> None:
        """Draw start states for the rows of the given indices from `self.np_random`."""
        raise NotImplementedError

    def advance(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply the actions [B, ...]; return the rewards [B] and which rows terminated [B]. Time is not its concern."""
        raise NotImplementedError

    def observe(self) -> np.ndarray:
        """Return what the current states show, [B, ...], as an array of its own."""
        raise NotImplementedError

    def summary(self) -> dict[str, np.ndarray]:
        """Return what `info` tells of episodes that end, [B] each; other rows do not count."""
        return {}

    def draw(self, row: int) -> np.ndarray:
        """Return an image [height, width, 3] of uint8 of the row."""
        raise NotImplementedError(f"{type(self).__name__} cannot be rendered")

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.elapsed[:], self._started = 0, True
        self.restart(np.arange(self.num_envs))
        return self.observe(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        reward, terminated, truncated = self.transition(actions)
        ended = terminated | truncated
        if not ended.any():
            return self.observe(), reward, terminated, truncated, {}
        info = {"final_obs": self.observe(), "_final_obs": ended}
        for name, value in self.summary().items():
            info |= {name: value, f"_{name}": ended}
        self.elapsed[ended] = 0
        self.restart(np.flatnonzero(ended))
        return self.observe(), reward, terminated, truncated, info

    def transition(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all rows without starting new episodes; return reward, terminated and truncated, [B] each."""
        if not self._started:
            raise RuntimeError("call reset before step")
        reward, terminated = self.advance(checked_actions(np.asarray(actions), self.single_action_space, self.num_envs))
        self.elapsed += 1
        late = self.elapsed >= self.max_episode_steps
        return (reward, terminated | late, np.zeros_like(late)) if self.limit_terminates else (reward, terminated, late)

    def render(self) -> tuple[np.ndarray, ...] | None:
        if self.render_mode is None:
            return None
        return tuple(self.draw(row) for row in range(self.num_envs))


class SingleEnv(gymnasium.Env):
    """The single environment made from a batch of one; a subclass only names its `batch_type`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    batch_type: type[BatchedEnv]

    def __init__(self, **options: Any):
        self.batch = self.batch_type(1, **options)
        self.observation_space, self.action_space = self.batch.single_observation_space, self.batch.single_action_space
        self.render_mode = self.batch.render_mode

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        observation, info = self.batch.reset(seed=seed, options=options)
        return observation[0], info

    def step(self, action: object) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward, terminated, truncated = self.batch.transition(np.asarray(action)[None])
        info = {name: value[0] for name, value in self.batch.summary().items()} if terminated[0] or truncated[0] else {}
        return self.batch.observe()[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> np.ndarray | None:
        frames = self.batch.render()
        return None if frames is None else frames[0]
