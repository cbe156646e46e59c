"""Table 1 of Duan et al. (2016) for REINFORCE, TNPG and TRPO, measured again where Gymnasium has an environment of the kind.

    python benchmarks/policy_gradient_table.py [--steps 50000] [--seeds 3] [--envs Swimmer-v5,Hopper-v5] [--out TABLE.md]

As in the paper, the figure of a run is the mean return of all episodes of the training, so it rewards learning fast and lies below what
was learnt last. The paper trained 500 iterations of 50,000 steps on environments of its own, with episodes of at most 500 steps and other
rewards: compare the order of the algorithms, not the numbers. The default budget needs less than a quarter of an hour on one core.
"""

import argparse
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from npfl139 import envs
from npfl139.runs import MemoryMonitor
from solutions import trpo

ALGORITHMS = ("reinforce", "tnpg", "trpo")


@dataclass(frozen=True)
class Task:
    """A row of the paper's table, and the environment that stands for it."""

    name: str
    environment_id: str
    paper: tuple[str, str, str]  # REINFORCE, TNPG, TRPO; mean ± standard deviation


TASKS = (
    Task("Cart-Pole Balancing", "InvertedPendulum-v5", ("4693.7 ± 14.0", "3986.4 ± 748.9", "4869.8 ± 37.6")),
    Task("Inverted Pendulum", "Pendulum-v1", ("13.4 ± 18.0", "209.7 ± 55.5", "247.2 ± 76.1")),
    Task("Mountain Car", "MountainCarContinuous-v0", ("-67.1 ± 1.0", "-66.5 ± 4.5", "-61.7 ± 0.9")),
    Task("Acrobot", "Acrobot-v1", ("-508.1 ± 91.0", "-395.8 ± 121.2", "-326.0 ± 24.4")),
    Task("Double Inverted Pendulum", "InvertedDoublePendulum-v5", ("4116.5 ± 65.2", "4455.4 ± 37.6", "4412.4 ± 50.4")),
    Task("Swimmer", "Swimmer-v5", ("92.3 ± 0.1", "96.0 ± 0.2", "96.0 ± 0.2")),
    Task("Hopper", "Hopper-v5", ("714.0 ± 29.3", "1155.1 ± 57.9", "1183.3 ± 150.0")),
    Task("2D Walker", "Walker2d-v5", ("506.5 ± 78.8", "1382.6 ± 108.2", "1353.8 ± 85.0")),
    Task("Half-Cheetah", "HalfCheetah-v5", ("1183.1 ± 69.2", "1729.5 ± 184.6", "1914.0 ± 120.1")),
    Task("Ant", "Ant-v5", ("548.3 ± 55.5", "706.0 ± 127.7", "730.2 ± 61.3")),
    Task("Full Humanoid", "Humanoid-v5", ("262.2 ± 10.5", "288.4 ± 25.2", "287.0 ± 23.4")),
)
SLOW = ("Ant-v5", "Humanoid-v5")  # left out of the default budget
DEFAULT = tuple(task.environment_id for task in TASKS if task.environment_id not in SLOW)


def mean_return(environment_id: str, algorithm: str, seed: int, steps: int) -> float:
    """Return the mean return of all episodes of one training run."""
    config = trpo.CONFIGS.get(environment_id, trpo.CONFIGS["Hopper-v5"])
    config = dataclasses.replace(config, algorithm=algorithm, seed=seed, steps=steps, device="cpu")
    environments = envs.Tracked(envs.make(environment_id, config.env_count, seed))
    trpo.train(environments, config, MemoryMonitor())
    environments.close()
    return float(np.mean([episode.episode_return for episode in environments.episodes]))


def table(results: dict[str, dict[str, list[float]]], steps: int, seeds: int) -> str:
    """Return the Markdown table of the returns of each environment and algorithm."""
    names = {"reinforce": "REINFORCE", "tnpg": "TNPG", "trpo": "TRPO"}
    lines = [
        f"Mean return of all training episodes; {steps:,} environment steps, {seeds} seeds, mean ± standard deviation over seeds.",
        "",
        f"| environment | {' | '.join(names.values())} | task in the paper | {' | '.join(names.values())} |",
        "|---|" + "---:|" * 3 + "---|" + "---:|" * 3,
    ]
    for task in TASKS:
        if task.environment_id in results:
            ours = [f"{np.mean(values):.1f} ± {np.std(values):.1f}" for values in results[task.environment_id].values()]
            lines.append(f"| {task.environment_id} | {' | '.join(ours)} | {task.name} | {' | '.join(task.paper)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50_000, help="environment steps of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--envs", default=",".join(DEFAULT), help="environment ids, comma-separated, or all")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    known = [task.environment_id for task in TASKS]
    chosen = known if options.envs == "all" else options.envs.split(",")
    if not set(chosen) <= set(known):
        parser.error(f"there is a row in the paper only for {', '.join(known)}")
    torch.set_num_threads(1)
    start, results = time.process_time(), {}
    for environment_id in chosen:
        for algorithm in ALGORITHMS:
            returns = [mean_return(environment_id, algorithm, seed, options.steps) for seed in range(1, options.seeds + 1)]
            results.setdefault(environment_id, {})[algorithm] = returns
            seconds = time.process_time() - start
            print(f"{environment_id:26} {algorithm:10} {np.mean(returns):9.1f} ± {np.std(returns):7.1f}   {seconds:6.0f} s", flush=True)
        options.out.write_text(table(results, options.steps, options.seeds), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
