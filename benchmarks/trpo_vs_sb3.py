"""Our TRPO and sb3-contrib's, alternating in one run: CPU seconds until the greedy policy is good enough, or the score after a budget.

    python benchmarks/trpo_vs_sb3.py [--env CartPole-v1|InvertedPendulum-v5|Swimmer-v5|Hopper-v5] [--seeds 3]

One thread, the same evaluation for both: greedy episodes in our environments, with the same seeds, whenever `interval` further steps were
made; the first mean at or above `threshold` counts, and a run that never gets there shows its last mean. Imports, the making of
environments and the evaluations are left out of the seconds. sb3-contrib has the settings of rl-baselines3-zoo, which has none for
InvertedPendulum: there it gets those of the other MuJoCo tasks. A machine's speed swings; that is why the runs alternate, and only their
ratio is a result.
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.runs import MemoryMonitor
from solutions import trpo

try:
    import sb3_contrib
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize
except ImportError:
    sys.exit("this benchmark needs sb3-contrib: pip install -c constraints.txt sb3-contrib")


@dataclass(frozen=True)
class Task:
    """What counts as solved, when to look, and the settings of the zoo (commit 22e3ff2, hyperparams/trpo.yml)."""

    threshold: float
    interval: int
    steps: int
    episodes: int
    settings: dict
    normalized: bool = False


MUJOCO = dict(n_steps=1024, batch_size=128, sub_sampling_factor=1, cg_max_steps=25, cg_damping=0.1, n_critic_updates=20, learning_rate=1e-3)
TASKS = {
    "CartPole-v1": Task(
        475, 2048, 50_000, 100,
        dict(n_steps=512, batch_size=512, cg_damping=1e-3, gae_lambda=0.98, gamma=0.99, learning_rate=1e-3, n_critic_updates=20),
    ),
    "InvertedPendulum-v5": Task(950, 4096, 50_000, 20, MUJOCO, normalized=True),
    "Swimmer-v5": Task(300, 20_000, 200_000, 10, MUJOCO | dict(gamma=0.9999), normalized=True),
    "Hopper-v5": Task(2000, 20_000, 200_000, 10, MUJOCO, normalized=True),
}  # fmt: skip


class Solved(Exception):
    """The threshold was reached."""


class Stopwatch:
    """Counts CPU seconds of training only, and ends it once the policy is good enough."""

    def __init__(self, environment_id: str, seed: int):
        self.task, self.environment_id, self.seed = TASKS[environment_id], environment_id, seed
        self.looked_at, self.score, self.seconds = 0, float("nan"), 0.0
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
        self.started = time.process_time()


class Looking(MemoryMonitor):
    """Shows the agent to the stopwatch after every update."""

    def __init__(self, stopwatch: Stopwatch):
        super().__init__()
        self.stopwatch = stopwatch

    def watch(self, agent: trpo.Agent) -> int:
        self.agent = agent
        return 0

    def log(self, steps: int, **scalars: float) -> None:
        self.stopwatch.look(steps, self.agent.act)


def ours(stopwatch: Stopwatch) -> None:
    config = trpo.CONFIGS.get(stopwatch.environment_id, trpo.TRPOConfig())
    config = dataclasses.replace(config, seed=stopwatch.seed, steps=stopwatch.task.steps, device="cpu")
    environments = envs.make(stopwatch.environment_id, config.env_count, stopwatch.seed)
    stopwatch.started = time.process_time()
    trpo.train(environments, config, Looking(stopwatch))


def theirs(stopwatch: Stopwatch) -> None:
    environments = make_vec_env(stopwatch.environment_id, 2, seed=stopwatch.seed)
    if stopwatch.task.normalized:
        environments = VecNormalize(environments, gamma=stopwatch.task.settings.get("gamma", 0.99))
    normalize = environments.normalize_obs if stopwatch.task.normalized else lambda observation: observation

    class Callback(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:  # after the update that the last rollout was used for
            stopwatch.look(self.num_timesteps, self.act)

        def act(self, observation, reward, first):
            return self.model.predict(normalize(observation), deterministic=True)[0]

    stopwatch.started = time.process_time()
    model = sb3_contrib.TRPO("MlpPolicy", environments, seed=stopwatch.seed, device="cpu", **stopwatch.task.settings)
    model.learn(stopwatch.task.steps, Callback())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", choices=list(TASKS), default="CartPole-v1")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # the first optimizer imports for a second
    seconds = {"ours": [], "sb3-contrib": []}
    for seed in range(1, options.seeds + 1):
        for name, training in (("ours", ours), ("sb3-contrib", theirs)):
            stopwatch = Stopwatch(options.env, seed)
            try:
                training(stopwatch)
            except Solved:
                seconds[name].append(stopwatch.seconds)
            else:
                seconds[name].append(float("inf"))
            print(
                f"{options.env} seed {seed} {name:>11}: {stopwatch.seconds:7.2f} s of CPU, {stopwatch.looked_at:7,} steps, "
                f"mean return {stopwatch.score:.1f}{'' if seconds[name][-1] < float('inf') else ' (not reached)'}",
                flush=True,
            )
    for name, values in seconds.items():
        reached = sum(value < float("inf") for value in values)
        print(f"{name}: median {statistics.median(values):.2f} s, reached by {reached} of {len(values)}")


if __name__ == "__main__":
    main()
