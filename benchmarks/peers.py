"""Compare an agent of ours with its counterpart in Stable-Baselines3 or sb3-contrib: CPU seconds until the greedy policy is good enough.

One thread, the same evaluation for both: greedy episodes in our environments, with the same seeds, whenever `interval` further steps were
made; the first mean at or above `threshold` counts, and a run that never gets there shows its last mean. Imports, the making of
environments and the evaluations are left out of the seconds. A machine's speed swings; that is why the runs alternate, and only their ratio
is a result.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from npfl139 import envs
from npfl139.config import Config
from npfl139.evaluation import evaluate
from npfl139.runs import MemoryMonitor

try:
    import sb3_contrib  # noqa: F401
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize
except ImportError:
    sys.exit("this benchmark needs Stable-Baselines3 and sb3-contrib: pip install -c constraints.txt sb3-contrib")

__all__ = ["Stopwatch", "Task", "compare", "linear", "train_ours", "train_theirs"]


@dataclass(frozen=True)
class Task:
    """What counts as solved, when to look, and the settings of rl-baselines3-zoo for the peer."""

    threshold: float
    interval: int
    steps: int  # the peer's budget
    episodes: int  # of one evaluation
    env_count: int  # of the peer
    settings: dict
    normalized: bool = False


def linear(start: float) -> Callable[[float], float]:
    """Return a schedule of the peer that falls linearly from `start` to 0; its argument is the part of the training that is left."""
    return lambda left: left * start


class Solved(Exception):
    """The threshold was reached."""


class Stopwatch:
    """Counts CPU seconds of training only, and ends it once the policy is good enough."""

    def __init__(self, environment_id: str, task: Task, seed: int):
        self.environment_id, self.task, self.seed = environment_id, task, seed
        self.looked_at, self.score, self.seconds = 0, float("nan"), 0.0
        self.started = time.process_time()

    def start(self) -> None:
        self.started = time.process_time()

    def look(self, steps: int, policy: Callable) -> None:
        """Evaluate the policy if it is time to.

        Raises:
            Solved: its mean return reaches the threshold.
        """
        if steps - self.looked_at < self.task.interval:
            return
        self.seconds += time.process_time() - self.started
        self.looked_at = steps
        rows = min(self.task.episodes, 100)
        self.score = evaluate(policy, envs.make(self.environment_id, rows, 1_000_000 + self.seed), self.task.episodes).mean()
        if self.score >= self.task.threshold:
            raise Solved
        self.start()


class Looking(MemoryMonitor):
    """Shows the agent to the stopwatch after every update."""

    def __init__(self, stopwatch: Stopwatch):
        super().__init__()
        self.stopwatch = stopwatch

    def watch(self, agent: object, memory: object | None = None) -> int:
        self.agent = agent
        return 0

    def log(self, steps: int, **scalars: float) -> None:
        super().log(steps, **scalars)
        self.stopwatch.look(steps, self.agent.act)


def train_ours(train: Callable, config: Config, stopwatch: Stopwatch) -> None:
    """Train our agent until it is good enough, or its own budget is spent."""
    environments = envs.make(stopwatch.environment_id, config.env_count, stopwatch.seed)
    stopwatch.start()
    train(environments, config, Looking(stopwatch))


def train_theirs(algorithm: type, stopwatch: Stopwatch, policy: str = "MlpPolicy") -> None:
    """Train the peer, with its policy of that name, until it is good enough, or the task's budget is spent."""
    task = stopwatch.task
    environments = make_vec_env(stopwatch.environment_id, task.env_count, seed=stopwatch.seed)
    if task.normalized:
        environments = VecNormalize(environments, gamma=task.settings.get("gamma", 0.99))
    normalize = environments.normalize_obs if task.normalized else lambda observation: observation

    class Callback(BaseCallback):
        state = None  # of a recurrent policy; it forgets in the rows where an episode starts

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:  # after the updates that the last rollout was used for
            stopwatch.look(self.num_timesteps, self.act)

        def act(self, observation, reward, first):
            action, self.state = self.model.predict(normalize(observation), self.state, first, deterministic=True)
            return action

    stopwatch.start()
    model = algorithm(policy, environments, seed=stopwatch.seed, device="cpu", **task.settings)
    model.learn(task.steps, Callback())


def compare(description: str, tasks: Mapping[str, Task], trainings: Mapping[str, Callable[[Stopwatch], None]], seeds: int) -> None:
    """Run the comparison from the command line.

    Args:
        description: what `--help` says.
        tasks: by environment id; the first is the default.
        trainings: two by name, ours first; each shows its policy to the stopwatch.
        seeds: how many, unless the command line says otherwise.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--env", choices=list(tasks), default=next(iter(tasks)), help="[default: %(default)s]")
    parser.add_argument("--seeds", type=int, default=seeds, help="how many [default: %(default)s]")
    parser.add_argument("--first", type=int, default=701, help="the first of them; no setting was chosen on the default and those after it")
    parser.add_argument("--only", choices=list(trainings), help="leave the other one out")
    options = parser.parse_args()
    trainings = {name: training for name, training in trainings.items() if options.only in (None, name)}
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # the first optimizer imports for a second
    seconds = {name: [] for name in trainings}
    for seed in range(options.first, options.first + options.seeds):
        for name, training in trainings.items():
            stopwatch = Stopwatch(options.env, tasks[options.env], seed)
            solved = solves(training, stopwatch)
            seconds[name].append(stopwatch.seconds if solved else float("inf"))
            print(
                f"{options.env} seed {seed} {name:>11}: {stopwatch.seconds:8.2f} s of CPU, {stopwatch.looked_at:8,} steps, "
                f"mean return {stopwatch.score:.1f}{'' if solved else ' (not reached)'}",
                flush=True,
            )
    for name, values in seconds.items():
        print(f"{name}: median {statistics.median(values):.2f} s, reached by {np.isfinite(values).sum()} of {len(values)}")
    if options.only:
        return
    ours, theirs = seconds
    ratio = statistics.median(np.divide(seconds[theirs], seconds[ours])) if np.isfinite(seconds[ours]).all() else float("inf")
    if np.isfinite(ratio):  # a peer that was not there in time took infinitely long
        print(f"{theirs} takes {ratio:.1f} times as long (median of the pairs)")


def solves(training: Callable[[Stopwatch], None], stopwatch: Stopwatch) -> bool:
    """Run the training; return whether it reached the threshold within its budget."""
    try:
        training(stopwatch)
    except Solved:
        return True
    return False
