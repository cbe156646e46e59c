"""What an actor's process is made of, and what it delivers."""

import importlib
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from npfl139 import envs
from npfl139.eager import skip_compiler
from npfl139.recurrent.actors import Actor, Experience
from npfl139.runs import config_type_of
from npfl139.seeding import derived_seed

__all__ = ["Delivery", "Job", "Published", "Worker"]


class Published(NamedTuple):
    """What a learner gives its actors."""

    updates: int  # of the learner so far
    weights: dict[str, Any]  # of an agent's `weights()`


class Delivery(NamedTuple):
    """What an actor gives its learner for a chunk of steps."""

    updates: int  # of the learner, when its weights were published
    experiences: list[Experience]
    news: dict[str, Any]  # of its agent


@dataclass(frozen=True)
class Job:
    """All that a process must know to be an actor."""

    module: str  # that has `make_agent`: its name
    file: str | None  # where it is, if it cannot be imported by its name
    environment_id: str
    config: dict[str, Any]  # of the whole training, by field: its class need not be importable where the job is read
    epsilon: np.ndarray  # [B] of its rows
    first_row: int  # the number of the first of them among all
    attempt: int  # how many processes had this job before, and steps of a training that was resumed: no two see the same episodes

    @classmethod
    def of(cls, module: types.ModuleType, **rest: Any) -> "Job":
        """Return a job of a module that may be a program, or a file that was loaded."""
        spec = getattr(module, "__spec__", None)
        if spec is not None:
            return cls(spec.name, None, **rest)
        return cls(module.__name__, str(Path(str(module.__file__)).resolve()), **rest)

    def load(self) -> types.ModuleType:
        """Return the module, in another process."""
        if self.file is None:
            return importlib.import_module(self.module)
        from npfl139.examples import load_module

        return load_module(Path(self.file), Path(self.file).stem)[0]


class Worker:
    """An actor at its job."""

    def __init__(self, job: Job):
        skip_compiler()
        torch.set_num_threads(1)
        module = job.load()
        seed = derived_seed(job.config["seed"], "actor", job.first_row, job.attempt) >> 32
        changes = {"seed": seed, "env_count": len(job.epsilon), "device": "cpu"}
        config: Any = config_type_of(module.train)(**job.config | changes)
        environments = envs.make(job.environment_id, config.env_count, seed)
        agent = module.make_agent(environments.single_observation_space, environments.single_action_space, config)
        agent.first_row = job.first_row
        self.actor = Actor(agent, environments, job.epsilon, seed)

    def collect(self, published: Published, steps: int) -> Delivery:
        """Make some steps in every environment with the weights."""
        agent: Any = self.actor.agent
        agent.updates = published.updates
        experiences = self.actor.collect(published.weights, steps)
        return Delivery(published.updates, experiences, agent.news())
