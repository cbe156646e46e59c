"""Environments that stay with the grader while a submission trains on them.

served = serve(npfl139.envs.make("CartPole-v1", 16, seed), step_budget=30_720)
agent, scalars = student.train(served.description, seed=seed)
served.steps, served.episodes
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Space
from gymnasium.vector import VectorEnv

import npfl139.actions
from grader.contract.student import StudentError
from npfl139.envs import Tracked, expect_same_step, expect_spaces
from npfl139.envs.remote import described_space

__all__ = ["Served", "checked_actions", "serve"]


class Served:
    """Environments that a submission trains on, and what happened to them, as the grader saw it."""

    def __init__(self, environments: VectorEnv, step_budget: int):
        self.environments, self.step_budget, self._started = Tracked(environments), step_budget, False

    @property
    def description(self) -> dict[str, Any]:
        """What `student.train` takes."""
        return {
            "num_envs": self.environments.num_envs,
            "observation_space": described_space(self.environments.single_observation_space),
            "action_space": described_space(self.environments.single_action_space),
            "reset": self.reset,
            "step": self.step,
        }

    @property
    def steps(self) -> int:
        """Environment steps so far, over all rows."""
        return self.environments.steps

    @property
    def episodes(self) -> list[tuple[int, float]]:
        """(Environment steps so far, return) of every episode that ended, in that order."""
        return [(episode.steps, episode.episode_return) for episode in self.environments.episodes]

    def reset(self) -> np.ndarray:
        """Start the environments, which can be done once."""
        if self._started:
            raise StudentError("wrong", "it reset the environments a second time; they start new episodes by themselves")
        self._started = True
        return self.environments.reset()[0]

    def step(self, actions: object) -> list[Any]:
        """Step all environments, if the actions are such and the budget allows it; see `RemoteVectorEnv`."""
        if not self._started:
            raise StudentError("wrong", "it stepped the environments before it reset them")
        count = self.environments.num_envs
        if self.steps + count > self.step_budget:
            raise StudentError("violation", f"it took more than the {self.step_budget} environment steps that it was given")
        actions = checked_actions(actions, self.environments.single_action_space, count)
        observation, reward, terminated, truncated, info = self.environments.step(actions)
        final = info.get("final_obs")
        if final is not None and final.dtype == object:  # Gymnasium's own vector environments give None where no episode ended
            final = np.stack([now if last is None else last for last, now in zip(final, observation, strict=True)])
        return [observation, reward, terminated, truncated, final]


def serve(environments: VectorEnv, step_budget: int) -> Served:
    """Return the environments, ready for `student.train(served.description)`.

    Args:
        environments: in the SAME_STEP autoreset mode, seeded already.
        step_budget: the environment steps, over all rows, that the submission may take; one more is a violation.

    Raises:
        ValueError: the environments cannot be served.
    """
    expect_same_step(environments)
    expect_spaces(environments.single_observation_space, environments.single_action_space)
    return Served(environments, step_budget)


def checked_actions(actions: object, space: Space[Any], count: int) -> np.ndarray:
    """Return the actions as `npfl139.actions.checked_actions`, and if they are none blame the student.

    Raises:
        StudentError: they are something else.
    """
    try:
        return npfl139.actions.checked_actions(actions, space, count)
    except ValueError as error:
        raise StudentError("wrong", str(error)) from error
