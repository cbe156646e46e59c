"""Atari games with the usual preprocessing, through the vector environment of the Arcade Learning Environment (extra `atari`).

Every action is repeated 4 times; an observation is the maximum of the last two frames, in 84 × 84 shades of grey, one frame and not a
stack of them: agents that stack do so themselves, so that a replay may store each frame once. An episode starts with up to 30 actions
that do nothing, and ends with the game or after 30 minutes; the loss of a life does not end it. There are all 18 actions, whatever the
game makes of them. Rewards are not clipped, actions are not sticky.

Source: Mnih et al. (2015), Machado et al. (2018), arXiv:1709.06009.
"""

from typing import Any, cast

import gymnasium
import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorWrapper
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import AtariPreprocessing

__all__ = ["Atari", "preprocessed"]


class Atari(VectorWrapper):
    """`count` copies of a game, in the SAME_STEP autoreset mode. Observations [B, 84, 84] of uint8; `info["lives"]` [B] are those left."""

    def __init__(self, spec: EnvSpec, count: int, **options: Any):
        """Start the games.

        Args:
            spec: of "ALE/Pong-v5", for example.
            count: B.
            options: other settings of ale-py's `AtariVectorEnv`, such as `full_action_space=False`, which leaves the
                actions that the game knows, or `num_threads=1`.
        """
        settings = dict[str, Any](stack_num=1, reward_clipping=False, use_fire_reset=False, full_action_space=True)
        games = AtariVectorEnv(spec.kwargs["game"], count, autoreset_mode=AutoresetMode.SAME_STEP, **settings | options)
        super().__init__(games)
        self.single_observation_space = Box(0, 255, cast(Box, games.single_observation_space).shape[1:], np.uint8)
        self.observation_space = batch_space(self.single_observation_space, count)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        observation, _ = self.env.reset(seed=seed, options=options)
        return observation[:, 0], {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        observation, reward, terminated, truncated, info = self.env.step(actions)
        ended = terminated | truncated
        told = {"lives": info["lives"]}
        if ended.any():
            told |= {"final_obs": info["final_obs"][:, 0], "_final_obs": ended}
        return observation[:, 0], reward.astype(np.float64), terminated, truncated, told


def preprocessed(spec: EnvSpec, **options: Any) -> gymnasium.Env:
    """Return a single game with the same preprocessing, which can be rendered (`render_mode="rgb_array"`)."""
    settings = dict[str, Any](frameskip=1, repeat_action_probability=0.0, full_action_space=True)
    game = gymnasium.make(spec, **settings | options)
    return AtariPreprocessing(game, noop_max=30, frame_skip=4, screen_size=84)
