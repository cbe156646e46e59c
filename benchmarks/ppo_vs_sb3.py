"""Our PPO and Stable-Baselines3's, alternating in one run: CPU seconds until the greedy policy is good enough.

    python benchmarks/ppo_vs_sb3.py [--env CartPole-v1|LunarLander-v3] [--seeds 5]

Both get the same protocol: one thread, 100 greedy episodes in our environments with the same seeds whenever INTERVAL
further steps were made, the first mean at or above THRESHOLD counts. Imports, the making of environments and the
evaluations are left out of the seconds. SB3 has the tuned settings of rl-baselines3-zoo. Its speed swings with the
machine's, and so does ours: that is why the runs alternate and only their ratio is a result.
"""

import argparse
import dataclasses
import statistics
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.runs import MemoryMonitor
from solutions import ppo

try:
    import stable_baselines3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
except ImportError:
    sys.exit("this benchmark needs Stable-Baselines3: pip install -c constraints.txt stable-baselines3")

EPISODES = 100


@dataclass(frozen=True)
class Task:
    """What counts as solved, when to look, and the settings of the zoo (commit 22e3ff2, hyperparams/ppo.yml)."""

    threshold: float
    interval: int
    count: int
    settings: dict
    steps: int


def linear(start: float):
    return lambda left: left * start


TASKS = {
    "CartPole-v1": Task(
        475, 1024, 8,
        dict(
            n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20, ent_coef=0.0,
            learning_rate=linear(0.001), clip_range=linear(0.2),
        ),
        100_000,
    ),
    "LunarLander-v3": Task(
        200, 16_384, 16, dict(n_steps=1024, batch_size=64, gae_lambda=0.98, gamma=0.999, n_epochs=4, ent_coef=0.01), 1_000_000,
    ),
}  # fmt: skip


class Solved(Exception):
    """The threshold was reached."""


class Stopwatch:
    """Counts CPU seconds of training only, and stops it once the policy is good enough."""

    def __init__(self, environment_id: str, seed: int):
        self.task, self.environment_id, self.seed = TASKS[environment_id], environment_id, seed
        self.looked_at, self.score = 0, float("nan")
        self.spent, self.started = 0.0, time.process_time()

    def look(self, steps: int, policy) -> None:
        """Evaluate the policy if it is time to.

        Raises:
            Solved: its mean return reaches the threshold.
        """
        if steps - self.looked_at < self.task.interval:
            return
        self.spent += time.process_time() - self.started
        self.looked_at = steps
        self.score = evaluate(policy, envs.make(self.environment_id, EPISODES, 1_000_000 + self.seed), EPISODES).mean()
        if self.score >= self.task.threshold:
            raise Solved
        self.started = time.process_time()


def measured(environment_id: str, seed: int, training) -> tuple[float, int, float]:
    """Return (CPU seconds, environment steps, score); infinite seconds if the threshold was not reached within the budget."""
    watch = Stopwatch(environment_id, seed)
    try:
        training(environment_id, seed, watch)
    except Solved:
        return watch.spent, watch.looked_at, watch.score
    return float("inf"), watch.looked_at, watch.score


class Looking(MemoryMonitor):
    """Shows the agent to the stopwatch after every iteration."""

    def __init__(self, watch: Stopwatch):
        super().__init__()
        self.stopwatch = watch

    def watch(self, agent) -> int:
        self.agent = agent
        return 0

    def log(self, steps: int, **scalars: float) -> None:
        super().log(steps, **scalars)
        self.stopwatch.look(steps, self.agent.act)


def ours(environment_id: str, seed: int, watch: Stopwatch) -> None:
    config = dataclasses.replace(ppo.CONFIGS[environment_id], seed=seed, device="cpu")
    environments = envs.make(environment_id, config.env_count, seed)
    watch.started = time.process_time()
    ppo.train(environments, config, Looking(watch))


def theirs(environment_id: str, seed: int, watch: Stopwatch) -> None:
    class Callback(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:  # after the updates that the last rollout was used for
            watch.look(self.num_timesteps, lambda observation, reward, first: self.model.predict(observation, deterministic=True)[0])

    environments = make_vec_env(environment_id, watch.task.count, seed=seed)
    watch.started = time.process_time()
    model = stable_baselines3.PPO("MlpPolicy", environments, seed=seed, device="cpu", **watch.task.settings)
    model.learn(watch.task.steps, Callback())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", choices=list(TASKS), default="CartPole-v1")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # the first optimizer imports for a second
    results = {"ours": [], "SB3": []}
    for seed in range(1, options.seeds + 1):
        for name, training in (("ours", ours), ("SB3", theirs)):
            seconds, steps, score = measured(options.env, seed, training)
            results[name].append(seconds)
            print(f"{options.env} seed {seed} {name:>4}: {seconds:8.2f} s of CPU, {steps:8,} steps, mean return {score:.1f}", flush=True)
    medians = {name: statistics.median(seconds) for name, seconds in results.items()}
    ratios = np.divide(results["SB3"], results["ours"])
    print(f"median: ours {medians['ours']:.2f} s, SB3 {medians['SB3']:.2f} s")
    print(f"SB3 takes {statistics.median(ratios):.1f} times as long (median of the pairs)")


if __name__ == "__main__":
    main()
