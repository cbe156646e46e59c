"""The disguises of a task: what a learner does not mind, and a hand-written controller and weights brought along do."""

from typing import Any

import gymnasium
import numpy as np

__all__ = ["Disguise", "Relabelled", "RelabelledImage", "relabelled"]


def relabelled(environments: gymnasium.vector.VectorEnv, rng: np.random.Generator) -> "Disguise":
    """Return the environments in a random disguise of the kind that fits their observations, vectors or pictures.

    Raises:
        ValueError: there is none for them.
    """
    is_vector = len(environments.single_observation_space.shape or ()) == 1
    return Relabelled(environments, rng) if is_vector else RelabelledImage(environments, rng)


class Disguise(gymnasium.vector.VectorWrapper):
    """The same task with other observations, and actions that mean something else; a subclass says which."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self.disguised(observation), info

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(self.original(actions))
        if "final_obs" in info:
            final, ended = observation.copy(), info["_final_obs"]
            final[ended] = np.stack(info["final_obs"][ended])
            info = info | {"final_obs": self.disguised(final)}
        return self.disguised(observation), reward, terminated, truncated, info

    def disguised(self, observation: np.ndarray) -> np.ndarray:
        """Return what is shown in place of observations [B, ...]."""
        raise NotImplementedError

    def original(self, actions: np.ndarray) -> np.ndarray:
        """Return the actions [B, ...] that those of the disguise stand for."""
        raise NotImplementedError


class Relabelled(Disguise):
    """The same task in another disguise: an invertible affine map of the observations, and permuted or mirrored actions.

    A learner does as well as before; a hand-written controller and weights brought along do not. Two cheats do: a plan of
    actions that never looks at the observations, which the task itself must defeat, by differing between episodes; and another
    learner, for example least squares and a linear-quadratic regulator. Against the latter only the given code is run, into
    which the exercises are put; exercises that reach out of their functions and take over that code are not excluded.

    The map is o' = s (Q o + b) with a random rotation Q, so it keeps the geometry, and a scale s; each action component of a
    Box is mirrored at random.
    """

    def __init__(self, environments: gymnasium.vector.VectorEnv, rng: np.random.Generator):
        super().__init__(environments)
        space, actions = environments.single_observation_space, environments.single_action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"only vectors of observations can be relabelled, got {space}")
        size = space.shape[0]
        self.rotation = np.linalg.qr(rng.normal(size=(size, size)))[0]
        self.offset = rng.uniform(-0.5, 0.5, size=size)
        self.scale = rng.uniform(0.5, 2.0)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, environments.num_envs)
        if isinstance(actions, gymnasium.spaces.Discrete):
            self.permutation = rng.permutation(actions.n)
        else:
            self.mirror = rng.choice([-1.0, 1.0], size=actions.shape).astype(actions.dtype)

    def disguised(self, observation: np.ndarray) -> np.ndarray:
        disguised: np.ndarray = (self.scale * (observation @ self.rotation.T + self.offset)).astype(np.float32)
        return disguised

    def original(self, actions: np.ndarray) -> np.ndarray:
        space = self.env.single_action_space
        if isinstance(space, gymnasium.spaces.Discrete):
            original: np.ndarray = self.permutation[actions - space.start] + space.start
        else:
            assert isinstance(space, gymnasium.spaces.Box)  # nothing else is served
            middle = (space.high + space.low) / 2
            original = middle + self.mirror * (actions - middle)
        return original


class RelabelledImage(Disguise):
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

    def disguised(self, observation: np.ndarray) -> np.ndarray:
        if self.channels is not None:
            observation = observation[:, self.channels]
        observation = observation[..., :: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]
        return np.ascontiguousarray(observation.swapaxes(-1, -2) if self.transposed else observation)

    def original(self, actions: np.ndarray) -> np.ndarray:
        original: np.ndarray = self.permutation[actions - self.first_action] + self.first_action
        return original
