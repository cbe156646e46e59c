"""The disguise of a task that is seen: its pictures turned, its colours exchanged, its actions renamed."""

import gymnasium
import numpy as np

__all__ = ["RelabelledImage"]


class RelabelledImage(gymnasium.vector.VectorWrapper):
    """The same task in another disguise: one of the symmetries of the picture, permuted channels, permuted actions.

    A picture is mirrored and turned as a whole, always in the same way, and so are the directions in which actions move: the disguise is
    a task of the same kind, and no harder for a learner. But of a hand-written controller, and of weights brought along, neither the
    actions mean what they meant, nor do the places. Squares have 8 symmetries, other pictures 4. The permutation of the actions is
    drawn from all of them, so that the way an action moves on the turned picture is not known either.
    """

    def __init__(self, environments: gymnasium.vector.VectorEnv, rng: np.random.Generator):
        """Draw the disguise.

        Args:
            environments: B rows of pictures [channels, height, width] or [height, width], with discrete actions.
            rng: decides on the disguise; the same one gives the same.

        Raises:
            ValueError: observations are no pictures, channels have different ranges, or actions are not discrete.
        """
        super().__init__(environments)
        space, actions = environments.single_observation_space, environments.single_action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) not in (2, 3):
            raise ValueError(f"only pictures [channels, height, width] or [height, width] can be relabelled so, got {space}")
        if np.ptp(space.low) or np.ptp(space.high):
            raise ValueError(f"channels can only be exchanged if all have the same range, got {space}")
        if not isinstance(actions, gymnasium.spaces.Discrete):
            raise ValueError(f"only discrete actions can be relabelled so, got {actions}")
        *channels, height, width = space.shape
        self.upside_down, self.mirrored = rng.random(2) < 0.5
        self.transposed = height == width and rng.random() < 0.5
        self.channels = rng.permutation(channels[0]) if channels else None
        self.first_action, self.permutation = actions.start, rng.permutation(actions.n)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        observation, info = self.env.reset(seed=seed, options=options)
        return self.disguised(observation), info

    def step(self, actions: np.ndarray) -> tuple:
        observation, reward, terminated, truncated, info = self.env.step(self.original(actions))
        if "final_obs" in info:
            final, ended = observation.copy(), info["_final_obs"]
            final[ended] = np.stack(info["final_obs"][ended])
            info = info | {"final_obs": self.disguised(final)}
        return self.disguised(observation), reward, terminated, truncated, info

    def disguised(self, observation: np.ndarray) -> np.ndarray:
        if self.channels is not None:
            observation = observation[:, self.channels]
        observation = observation[..., :: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        return np.ascontiguousarray(observation.swapaxes(-1, -2) if self.transposed else observation)

    def original(self, actions: np.ndarray) -> np.ndarray:
        return self.permutation[actions - self.first_action] + self.first_action
