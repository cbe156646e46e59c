"""Vector environments for every Gymnasium id and for ours, all in the SAME_STEP autoreset mode."""

import difflib
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper

from npfl139.seeding import derived_seed

if TYPE_CHECKING:
    from npfl139.monitor import Monitor

__all__ = ["Episode", "MissingExtra", "Tracked", "expect_same_step", "expect_spaces", "make"]

# id: (module and class in this package, options). Of a class Name the batch is NameVector, in the same module.
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "npfl139/CartPole-v1": ("cartpole:CartPole", {}),
    "npfl139/Collect-v0": ("collect:Collect", {}),
    "npfl139/CollectContinuous-v0": ("collect:Collect", {"continuous": True}),
    "npfl139/CueRecall-v0": ("memory:CueRecall", {}),
    "npfl139/DeepSea-v0": ("chains:DeepSea", {}),
    "npfl139/DiscoGoal-v0": ("disco:DiscoGoal", {}),
    "npfl139/DiscoMaze-v0": ("disco:DiscoMaze", {}),
    "npfl139/KeyDoor-v0": ("chains:KeyDoor", {}),
    "npfl139/Lottery-v0": ("lottery:Lottery", {}),
    "npfl139/NoisyTelevision-v0": ("television:NoisyTelevision", {}),
    "npfl139/Patience-v0": ("patience:Patience", {}),
    "npfl139/RandomCoin-v0": ("coin:RandomCoin", {}),
    "npfl139/ShortCueRecall-v0": ("memory:CueRecall", {"corridor": 5, "max_episode_steps": 20, "limit_terminates": True}),
    "npfl139/SmallDiscoMaze-v0": ("disco:DiscoMaze", {"size": 7, "steps": 40}),
    "npfl139/TwoRooms-v0": ("memory:TwoRooms", {}),
    "npfl139/MaskedCartPole-v0": ("memory:MaskedCartPole", {}),
    "npfl139/TreasureChain-v0": ("treasure:TreasureChain", {}),
    "npfl139/Vaults-v0": ("vaults:Vaults", {}),
}
BATCHED_INSTEAD = {"CartPole-v1": "npfl139/CartPole-v1"}  # Gymnasium's id: ours with the same dynamics
ATARI = "ALE"  # the namespace of the games, which `npfl139.envs.atari` preprocesses
EXTRAS = {"mujoco": "mujoco", "box2d": "box2d", "ale": "atari"}  # a word of Gymnasium's entry point: our extra that installs it

for _id, (_entry, _options) in OURS.items():
    gymnasium.register(
        _id,
        entry_point=f"npfl139.envs.{_entry}",
        vector_entry_point=f"npfl139.envs.{_entry}Vector",
        kwargs=_options,
        disable_env_checker=True,
    )


class MissingExtra(ImportError):
    """An environment needs a package that is not installed; the message says which extra of this project brings it."""


def make(environment_id: str, count: int, seed: int, **options: Any) -> VectorEnv:
    """Return `count` environments in the SAME_STEP autoreset mode, seeded: `reset()` needs no seed.

    The observation that `step` returns is already the next episode's where one ended; the true last observation is in
    `info["final_obs"]`, in the rows where `info["_final_obs"]`. Environments of different seeds share no episode.

    Args:
        environment_id: as in Gymnasium ("LunarLander-v3", "InvertedPendulum-v5") or ours ("npfl139/Collect-v0").
        count: how many, B.
        seed: of the streams of start states and of `action_space.sample()`.
        options: passed to the environment (`render_mode="rgb_array"`, `continuous=True`, ...).

    Raises:
        ValueError: there is no such environment, or `count` is not positive.
        MissingExtra: the environment's packages are not installed.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    spec = _spec(BATCHED_INSTEAD.get(environment_id, environment_id))
    if spec.id in OURS:
        creator: Any = load_env_creator(str(spec.vector_entry_point))
        environments: VectorEnv = creator(num_envs=count, **{**spec.kwargs, **options})
        environments.spec = spec
        environments.reset(seed=derived_seed(seed, "environments"))
    elif spec.namespace == ATARI and "render_mode" not in options:
        from npfl139.envs.atari import Atari

        environments = Atari(spec, count, **options)
        environments.reset(seed=derived_seed(seed, "environments") >> 33)
    else:
        environments = synchronous = _synchronous(spec, count, options)
        # 31 bits: ale-py and some others take no larger seed.
        synchronous.reset(seed=[derived_seed(seed, "environments", row) >> 32 for row in range(count)])
    environments.action_space.seed(derived_seed(seed, "action_space") >> 32)
    return environments


def expect_same_step(environments: VectorEnv) -> None:
    """Raise a ValueError unless the vector environment resets in the step in which an episode ends."""
    mode = environments.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(f"the vector environment must have the autoreset mode SAME_STEP, got {mode}; npfl139.envs.make gives such")


@overload
def expect_spaces(observation_space: Space, action_space: Space, kind: type[Discrete], /) -> tuple[Box, Discrete]: ...
@overload
def expect_spaces(observation_space: Space, action_space: Space, *kinds: type[Discrete | Box]) -> tuple[Box, Discrete | Box]: ...
def expect_spaces(observation_space: Space, action_space: Space, *action_kinds: type[Discrete | Box]) -> tuple[Box, Discrete | Box]:
    """Return the spaces; raise a ValueError unless observations are a Box and actions one of the kinds (by default Discrete or Box)."""
    action_kinds = action_kinds or (Discrete, Box)
    if not isinstance(observation_space, Box):
        raise ValueError(f"observations must be a Box, got {observation_space}; wrap the environment, e.g. in FlattenObservation")
    if not isinstance(action_space, action_kinds):
        raise ValueError(f"actions must be {' or '.join(kind.__name__ for kind in action_kinds)}, got {action_space}")
    return observation_space, action_space


class Episode(NamedTuple):
    """An episode that ended: after how many environment steps in all, its return and its length."""

    steps: int
    episode_return: float
    length: int


class Tracked(VectorWrapper):
    """Counts environment steps over all rows, and tells episodes to a monitor as they end.

    `steps` is the number of steps so far, `episodes` the last `history` episodes, oldest first.
    """

    def __init__(self, environments: VectorEnv, monitor: "Monitor | None" = None, steps: int = 0, history: int = 100_000):
        super().__init__(environments)
        self.monitor, self.steps = monitor, steps
        self.episodes: deque[Episode] = deque(maxlen=history)
        self._return, self._length = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        self._return[:], self._length[:] = 0, 0
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        result = self.env.step(actions)
        self.steps += self.num_envs
        self._return += result[1]
        self._length += 1
        ended = result[2] | result[3]
        if ended.any():
            self._record(np.flatnonzero(ended))
        return result

    def _record(self, rows: np.ndarray) -> None:
        returns, lengths = self._return[rows], self._length[rows]
        self.episodes.extend(Episode(self.steps, *pair) for pair in zip(returns.tolist(), lengths.tolist(), strict=True))
        self._return[rows], self._length[rows] = 0, 0
        if self.monitor is not None:
            self.monitor.log(self.steps, episode_return=returns.mean(), episode_length=lengths.mean())


def _spec(environment_id: str) -> gymnasium.envs.registration.EnvSpec:
    if environment_id.startswith(f"{ATARI}/"):
        try:
            import ale_py  # noqa: F401  it registers its games
        except ImportError as error:
            raise _missing_extra(environment_id, "atari", error) from error
    try:
        return gymnasium.spec(environment_id)
    except gymnasium.error.Error as error:
        close = difflib.get_close_matches(environment_id, gymnasium.registry, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there is no environment {environment_id!r}{hint}") from error


def _synchronous(spec: gymnasium.envs.registration.EnvSpec, count: int, options: dict) -> SyncVectorEnv:
    def one() -> gymnasium.Env:
        if spec.namespace == ATARI:
            from npfl139.envs.atari import preprocessed

            return preprocessed(spec, disable_env_checker=True, **options)
        return gymnasium.make(spec, disable_env_checker=True, **options)

    try:
        with warnings.catch_warnings():
            # Box2D's module crashes the interpreter if its DeprecationWarning at import is turned into an error.
            warnings.simplefilter("ignore", DeprecationWarning)
            return SyncVectorEnv([one] * count, autoreset_mode=AutoresetMode.SAME_STEP)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        extra = next((extra for word, extra in EXTRAS.items() if word in str(spec.entry_point).lower()), None)
        raise _missing_extra(spec.id, extra, error) from error


def _missing_extra(environment_id: str, extra: str | None, error: Exception) -> MissingExtra:
    install = f'pip install -c constraints.txt "deep-rl-unit[{extra}]"' if extra else "install what the message names"
    return MissingExtra(f"{environment_id} needs packages that are not installed ({error}): {install}")
