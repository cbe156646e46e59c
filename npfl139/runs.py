"""A training run in a directory: made, and its agent restored. What a solution needs of a run is importable from here."""

import contextlib
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from npfl139 import envs
from npfl139.checkpoints import RunError, load_checkpoint, read_metadata, save_checkpoint
from npfl139.config import Config
from npfl139.eager import skip_compiler
from npfl139.logs import plot_curves, read_log
from npfl139.monitor import CHECKPOINT, LOG, MemoryMonitor, Monitor, RunMonitor
from npfl139.seeding import derived_seed

__all__ = [
    "CHECKPOINT",
    "MemoryMonitor",
    "Monitor",
    "RunError",
    "RunMonitor",
    "config_for",
    "config_type_of",
    "load_agent",
    "load_checkpoint",
    "main",
    "plot_curves",
    "read_log",
    "read_metadata",
    "run",
    "save_checkpoint",
]

CURVES = "curves.png"


def load_agent(module: types.ModuleType, path: str | Path) -> tuple[Any, str]:
    """Return the agent of a run's checkpoint, made by the module's `make_agent`, and its environment's id.

    Raises:
        RunError: as `load_checkpoint`, and as `config_for`.
    """
    skip_compiler()
    metadata = read_metadata(path)
    try:
        environment_id = metadata["environment"]
        stored: dict[str, Any] = json.loads(metadata["config"])
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        config = config_type_of(module.train)(**{**fields, "device": "auto"})
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} was not made by a run of this agent: {error}") from error
    environments = envs.make(environment_id, 1, config.seed)
    agent = module.make_agent(environments.single_observation_space, environments.single_action_space, config)
    environments.close()
    load_checkpoint(path, agent)
    return agent, environment_id


def config_for(module: types.ModuleType, name: str) -> Config:
    """Return the module's configuration of that name or environment id, or the default one for an environment without its own.

    Raises:
        RunError: the module's `train` does not say of what type its configuration is.
    """
    return getattr(module, "CONFIGS", {}).get(name) or config_type_of(module.train)()


def run(
    module: types.ModuleType,
    environment_id: str,
    config: Config,
    out_dir: str | Path,
    resume: bool = False,
    elsewhere: Callable[[types.ModuleType, str, Config], Any] | None = None,
) -> Any:
    """Train the module's agent; return it. The directory gets log.csv, TensorBoard events, agent.safetensors and curves.png.

    Args:
        module: of the agent.
        environment_id: as for `npfl139.envs.make`.
        config: of the agent.
        out_dir: the directory.
        resume: go on with the run in it.
        elsewhere: makes of the first three the `npfl139.distributed.team.Team` that acts; by default this process does.

    Raises:
        ValueError: there is no such environment, or the agent cannot handle its spaces.
        RunError: the directory cannot be written, holds another run, or its checkpoint is damaged.
    """
    skip_compiler()
    metadata = {"agent": _name(module), "environment": environment_id, "config": json.dumps(dataclasses.asdict(config))}
    if elsewhere is None:
        environments: Any = envs.make(environment_id, config.env_count, config.seed)
    else:
        environments = elsewhere(module, environment_id, config)
    with contextlib.closing(environments), RunMonitor(out_dir, config.steps, metadata, resume) as monitor:
        if elsewhere is None:
            if monitor.start_steps:  # other episodes than those already seen
                environments.reset(seed=derived_seed(config.seed, "resumed", monitor.start_steps) >> 32)
            tracked = envs.Tracked(environments, monitor, monitor.start_steps)
        else:
            environments.monitor, tracked = monitor, environments
        agent = module.train(tracked, config, monitor)
        monitor.steps = max(monitor.steps, config.steps)
    plot_curves(read_log(monitor.directory / LOG), monitor.directory / CURVES)
    return agent


def _name(module: types.ModuleType) -> str:
    """Return the topic of a solution or the name of a file, empty for a notebook."""
    name = str(module.train.__module__).removeprefix("solutions.")
    return Path(getattr(module, "__file__", None) or "").stem if name == "__main__" else name


def main(train: Callable, arguments: Sequence[str] | None = None) -> object:
    """Train from the command line, see `npfl139.commandline.main`."""
    from npfl139 import commandline  # it imports this module

    return commandline.main(train, arguments)


def config_type_of(train: Callable) -> type[Config]:
    """Return the dataclass by which `train` annotates its argument `config`.

    Raises:
        RunError: it does not.
    """
    config_type = typing.get_type_hints(train).get("config")
    if not (isinstance(config_type, type) and dataclasses.is_dataclass(config_type)):
        raise RunError("train must annotate its argument config with the dataclass of the configuration, as in the assignment")
    return typing.cast(type[Config], config_type)
