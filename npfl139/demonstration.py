"""An agent at work: trained now or restored from a run, playing episodes, filmed."""

import dataclasses
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from npfl139 import envs, runs
from npfl139.rollout import Collector
from npfl139.seeding import derived_seed

__all__ = ["play", "restored", "trained"]

MAX_FRAMES = 1000

if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
    os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo reads it when it is imported; without a screen its default cannot draw


def trained(module: types.ModuleType, environment_id: str | None, seed: int, steps: int | None, out_dir: Path) -> tuple[Any, str]:
    """Return an agent trained now, and the id of its environment, by default the first that the module has a configuration for.

    Raises:
        ValueError, ImportError, npfl139.runs.RunError: as `npfl139.runs.run`.
    """
    environment_id = environment_id or next(iter(getattr(module, "CONFIGS", {})), "CartPole-v1")
    config = runs.config_for(module, environment_id)
    config = dataclasses.replace(config, seed=seed, steps=config.steps if steps is None else steps)
    return runs.run(module, environment_id, config, out_dir), environment_id


def restored(module: types.ModuleType, out_dir: Path, environment_id: str | None) -> tuple[Any, str]:
    """Return the agent of an earlier run, and the id of its environment unless another is asked for.

    Raises:
        npfl139.runs.RunError: there is no such run, or it is another agent's.
    """
    agent, own = runs.load_agent(module, out_dir / runs.CHECKPOINT)
    return agent, environment_id or own


def play(agent: Any, environment_id: str, episodes: int, seed: int, gif: Path | None = None) -> Iterator[float]:
    """Yield the return of one greedy episode after another; the first one goes into an animation.

    Raises:
        ValueError: there is no such environment, or it cannot be drawn.
        OSError: the animation cannot be written.
    """
    environment = envs.make(environment_id, 1, derived_seed(seed, "demonstration"), **({"render_mode": "rgb_array"} if gif else {}))
    collector = Collector(environment)
    frames: list[np.ndarray] = []
    for episode in range(episodes):
        running, ended = 0.0, False
        while not ended:
            if gif and episode == 0 and len(frames) < MAX_FRAMES:
                frames.append(_frame(environment))
            transition = collector.step(agent.act(collector.observation, collector.reward, collector.first))
            running, ended = running + float(transition.reward[0]), bool(collector.first[0])
        if gif and episode == 0:
            _save(frames, gif, environment.metadata.get("render_fps", 30))
        yield running
    environment.close()


def _frame(environment: Any) -> np.ndarray:
    try:
        return environment.render()[0]
    except Exception as error:  # each simulator has its own exceptions for a missing display or an environment without pictures
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{environment.spec.id} cannot be drawn here, so there is no animation of it: {reason}") from error


def _save(frames: list[np.ndarray], path: Path, frames_per_second: float) -> None:
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(path, format="GIF", save_all=True, append_images=images[1:], duration=1000 / frames_per_second, loop=0)
