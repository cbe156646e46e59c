"""The trained agents that `npfl139 demo` shows: python -m grader.release.demonstrations [TOPIC...] remakes assignments/<topic>.safetensors.

Each is one of a few seeds of the reference, trained as its configuration says: the one whose evaluation is the median. With it go the
curves of all, for `npfl139 plot`. A topic that demonstrates itself, or that has no agent, has none.
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

from grader.contract.registry import available, load
from npfl139 import comparison, envs, runs
from npfl139.evaluation import evaluate
from npfl139.files import write_atomically
from npfl139.logs import read_log
from npfl139.monitor import LOG
from npfl139.seeding import derived_seed

__all__ = ["make"]

SEEDS = (1, 2, 3)
EPISODES = 20


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
    path = load(name).solution.parent.parent / "assignments" / f"{name}.safetensors"
    write_atomically(path, safetensors.torch.save(tensors, metadata))
    return path


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
    for chosen in sys.argv[1:] or available():
        print(chosen, make(chosen) or "has nothing to store", flush=True)
