"""What there is to watch of a topic: its own demonstration, or an agent that plays, shipped, restored from a run or trained now."""

import dataclasses
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npfl139 import envs, runs
from npfl139.envs.batched import BatchedEnv
from npfl139.film import Frame, picture_of
from npfl139.rollout import Collector
from npfl139.seeding import derived_seed

__all__ = ["Show", "filmed", "played", "restored", "staged", "trained"]

UNHURRIED = 8  # pictures a second where an environment has no speed of its own: each step is a move

if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
    os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo reads it when it is imported; without a screen its default cannot draw


@dataclass(frozen=True)
class Show:
    """Something to watch. Whatever is asked for again begins anew, and is the same."""

    title: str
    frames_per_second: float
    frames: Callable[[int], Iterator[Frame]]  # of so many episodes
    told: Callable[[int], Iterator[str]]  # the same in sentences, without pictures


class Step(NamedTuple):
    """One step of an agent that plays."""

    image: np.ndarray | None
    episode: int  # counted from 1
    number: int  # of steps before it in the episode
    total: float  # the return so far, this step included
    ends: bool


def staged(module: types.ModuleType) -> Show:
    """Return what the module's own `demonstration` shows."""

    def told(episodes: int) -> Iterator[str]:
        last: dict[str, str] = {}  # the caption at which each scene ends
        for _, caption in module.demonstration():
            last[caption.split(":")[0]] = caption
        yield from last.values()

    def frames(episodes: int) -> Iterator[Frame]:
        return (Frame(picture_of(figure), caption) for figure, caption in module.demonstration())

    return Show(module.__name__.removeprefix("solutions."), 8, frames, told)


def filmed(path: Path, title: str) -> Show:
    """Return a film that was shipped, an animated picture."""
    from PIL import Image, ImageSequence

    with Image.open(path) as film:
        pictures = [(np.asarray(picture.convert("RGB")), picture.info.get("duration", 100)) for picture in ImageSequence.Iterator(film)]
    frames_per_second = 1000 * len(pictures) / sum(duration for _, duration in pictures)

    def frames(episodes: int) -> Iterator[Frame]:
        return (Frame(picture, f"{title}, filmed with the reference solution") for picture, _ in pictures)

    def told(episodes: int) -> Iterator[str]:
        yield f"{path}, {len(pictures) / frames_per_second:.0f} seconds: a terminal with colours shows it, --render human, or a browser."

    return Show(title, frames_per_second, frames, told)


def trained(module: types.ModuleType, environment_id: str | None, seed: int, steps: int | None) -> Show:
    """Return an agent trained now, in its environment, by default the first that the module has a configuration for.

    Raises:
        ValueError, ImportError, npfl139.runs.RunError: as `npfl139.runs.run`.
    """
    environment_id = environment_id or next(iter(getattr(module, "CONFIGS", {})), "CartPole-v1")
    config = runs.config_for(module, environment_id)
    config = dataclasses.replace(config, seed=seed, steps=config.steps if steps is None else steps)
    with tempfile.TemporaryDirectory() as folder:
        return played(runs.run(module, environment_id, config, Path(folder) / "run"), environment_id, seed)


def restored(module: types.ModuleType, checkpoint: Path, environment_id: str | None, seed: int) -> Show:
    """Return the agent of a checkpoint, in its environment unless another is asked for.

    Raises:
        npfl139.runs.RunError: there is no such checkpoint, or it is another agent's.
    """
    agent, own = runs.load_agent(module, checkpoint)
    return played(agent, environment_id or own, seed)


def played(agent: Any, environment_id: str, seed: int) -> Show:
    """Return the greedy episodes of an agent.

    Raises:
        ValueError: there is no such environment.
    """
    environment = envs.make(environment_id, 1, seed)
    says = environment.metadata is not BatchedEnv.metadata and "render_fps" in environment.metadata
    frames_per_second = environment.metadata["render_fps"] if says else UNHURRIED
    environment.close()

    def frames(episodes: int) -> Iterator[Frame]:
        for step in _steps(agent, environment_id, episodes, seed, pictures=True):
            caption = f"{environment_id}: episode {step.episode}, step {step.number + 1}, return {step.total:.1f}"
            if step.image is not None:
                yield Frame(step.image, caption)

    def told(episodes: int) -> Iterator[str]:
        ends = (step for step in _steps(agent, environment_id, episodes, seed, pictures=False) if step.ends)
        return (f"{environment_id}: return {step.total:.1f}" for step in ends)

    return Show(environment_id, frames_per_second, frames, told)


def _steps(agent: Any, environment_id: str, episodes: int, seed: int, pictures: bool) -> Iterator[Step]:
    """Yield the steps of greedy episodes, each with the picture before it.

    Raises:
        ValueError: the environment cannot be drawn.
    """
    environment = envs.make(environment_id, 1, derived_seed(seed, "demonstration"), **({"render_mode": "rgb_array"} if pictures else {}))
    collector = Collector(environment)
    for episode in range(1, episodes + 1):
        total, number, ends = 0.0, 0, False
        while not ends:
            image = _picture(environment) if pictures else None
            transition = collector.step(agent.act(collector.observation, collector.reward, collector.first))
            total, ends = total + float(transition.reward[0]), bool(collector.first[0])
            yield Step(image, episode, number, total, ends)
            number += 1
    environment.close()


def _picture(environment: Any) -> np.ndarray:
    try:
        return environment.render()[0]
    except Exception as error:  # each simulator has its own exceptions for a missing display or an environment without pictures
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{environment.spec.id} cannot be drawn here, so there is no animation of it: {reason}") from error
