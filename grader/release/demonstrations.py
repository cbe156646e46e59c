"""What `npfl139 demo` shows: python -m grader.release.demonstrations [TOPIC...] remakes assignments/<topic>.safetensors and .webp.

An agent is one of a few seeds of the reference, trained as its configuration says: the one whose evaluation is the median. With it go the
curves of all, for `npfl139 plot`. A topic that demonstrates itself, or that has no agent, has none. The films show the same where there is
no solution; with --films only these are made anew.
"""

import dataclasses
import importlib
import json
import sys
import tempfile
from pathlib import Path

import gymnasium
import numpy as np
import safetensors.torch
import torch
from PIL import Image

from grader.contract.registry import available, load
from npfl139 import comparison, demonstration, envs, runs
from npfl139.evaluation import evaluate
from npfl139.files import write_atomically
from npfl139.logs import read_log
from npfl139.monitor import LOG
from npfl139.seeding import derived_seed

__all__ = ["make", "make_film"]

SEEDS = (1, 2, 3)
EPISODES = 20
FILM_WIDTH, FILM_FRAMES, FILM_STEPS, MILLISECONDS = 320, 100, 500, 80  # pixels; pictures at most; each is shown so long at least


def make(name: str) -> Path | None:
    """Train the agent of a topic and store it beside its assignment; return where, None if there is nothing to store."""
    module = importlib.import_module(f"solutions.{name}")
    if hasattr(module, "demonstration") or not hasattr(module, "make_agent"):
        return None
    environment = _environment(getattr(module, "CONFIGS", {}))
    trained, points = [], []
    for seed in SEEDS:
        config = dataclasses.replace(runs.config_for(module, environment), seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            agent = runs.run(module, environment, config, Path(folder) / "run")
            points.append(np.array(read_log(Path(folder) / "run" / LOG)["episode_return"]))
        returns = evaluate(agent.act, envs.make(environment, EPISODES, derived_seed(seed, "evaluation")), EPISODES)
        trained.append((float(returns.mean()), config, agent))
    mean, config, agent = sorted(trained, key=lambda one: one[0])[len(trained) // 2]
    steps, values = comparison.recorded(points)
    metadata = {
        "agent": name,
        "environment": environment,
        "config": json.dumps(dataclasses.asdict(config)),
        "steps": str(config.steps),
        "evaluation": f"mean return {mean:.4g} over {EPISODES} greedy episodes; of {len(SEEDS)} seeds the median",
        "made_by": f"python -m grader.release.demonstrations {name}, with torch {torch.__version__}",
        "curves": json.dumps({"steps": steps.round().tolist(), "returns": [[float(f"{value:.4g}") for value in row] for row in values]}),
    }
    tensors = {f"agent/{key}": _small(tensor.detach().cpu()) for key, tensor in agent.state_dict().items()}
    path = _beside_the_assignment(name, ".safetensors")
    write_atomically(path, safetensors.torch.save(tensors, metadata))
    return path


def make_film(name: str) -> Path:
    """Film what `npfl139 demo` shows of a topic, in a small picture, every n-th of many; return where it is stored."""
    module, checkpoint = importlib.import_module(f"solutions.{name}"), _beside_the_assignment(name, ".safetensors")
    show = demonstration.restored(module, checkpoint, None, SEEDS[0]) if checkpoint.exists() else demonstration.staged(module)
    images = [frame.image for _, frame in zip(range(FILM_STEPS), show.frames(3), strict=False)]
    skipped = -(-len(images) // FILM_FRAMES)
    pictures = [Image.fromarray(image) for image in images[::skipped]]
    width = min(FILM_WIDTH, pictures[0].width)
    pictures = [picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.LANCZOS) for picture in pictures]
    duration = max(MILLISECONDS, round(1000 * skipped / show.frames_per_second))
    path = _beside_the_assignment(name, ".webp")
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, loop=0, quality=55, method=6, minimize_size=True)
    return path


def _beside_the_assignment(name: str, suffix: str) -> Path:
    return load(name).solution.parent.parent / "assignments" / f"{name}{suffix}"


def _environment(configurations: dict[str, object]) -> str:
    """Return the first environment that has a configuration, something to earn, and no need of an extra, which students may not have."""
    for name in configurations:
        if name in gymnasium.registry and not any(word in str(gymnasium.spec(name).entry_point) for word in envs.EXTRAS):
            environment = envs.make(name, 1, seed=0)
            if getattr(environment, "best_return", None) != 0:
                return name
    return "CartPole-v1"


def _small(tensor: torch.Tensor) -> torch.Tensor:
    """Return weights in half precision, which playing does not notice; everything else as it is."""
    return tensor.half().contiguous() if tensor.dtype == torch.float32 and tensor.dim() > 1 else tensor.contiguous().clone()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in [name for name in sys.argv[1:] if name != "--films"] or available():
        if "--films" not in sys.argv:
            print(chosen, make(chosen) or "has no agent to store", flush=True)
        print(chosen, make_film(chosen), flush=True)
