"""Agent57, what it consists of, and what came before it, on the suite of six tasks: greedy scores, 0 for random and 1 for best play.

    python benchmarks/agent57_suite.py                                     Agent57 on all six tasks
    python benchmarks/agent57_suite.py Agent57 NGU --seeds 1 2 3 --tasks RandomCoin Patience

All run with one and the same configuration, up to what the variant changes. What a score of one seed is worth, five tell.
"""

import argparse
import dataclasses
import time

import numpy as np
import torch

import solutions.agent57 as agent57
from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.runs import MemoryMonitor

VARIANTS = {
    "Agent57": {},
    "NGU": {"heads": "shared", "controller": "uniform"},
    "shared heads": {"heads": "shared"},
    "uniform controller": {"controller": "uniform"},
    "no novelty": {"novelty": "none"},
    "episodic novelty only": {"novelty": "episodic"},
    **{
        f"policy {policy} alone": {"policies": 1, "family_weights": (weight,), "family_discounts": (discount,), "cross_mixture": 0.0}
        for policy, (weight, discount) in enumerate(
            zip(agent57.Agent57Config.family_weights, agent57.Agent57Config.family_discounts, strict=True)
        )
    },
}
WITHOUT_LUCK = {"Lottery": {"prize": 0.0}}  # of mean 0: its variance says nothing about the agent


def score(agent: agent57.Agent, task: str, episodes: int = 64) -> float:
    """Return the mean greedy return, from 0 for that of random play to 1 for the best one."""
    environments = envs.make(f"npfl139/{task}-v0", episodes, 99, **WITHOUT_LUCK.get(task, {}))
    worst, best = environments.random_return, environments.best_return
    return float((evaluate(agent.act, environments, episodes).mean() - worst) / (best - worst))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []], help="names of variants [default: Agent57]")
    parser.add_argument("--tasks", nargs="+", choices=agent57.SUITE, default=agent57.SUITE)
    parser.add_argument("--steps", type=int, help="environment steps of each run [default: the configuration's]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # the first one imports for seconds

    print(f"{'':22} {'seed':>4} " + " ".join(f"{task[:10]:>13}" for task in options.tasks) + "   mean  worst  CPU s", flush=True)
    for name in options.variants or ["Agent57"]:
        for seed in options.seeds:
            base = agent57.Agent57Config(seed=seed)
            config = dataclasses.replace(base, steps=options.steps or base.steps, **VARIANTS[name])
            cells, scores, started = [], [], time.process_time()
            for task in options.tasks:
                agent = agent57.train(envs.make(f"npfl139/{task}-v0", config.env_count, seed), config, MemoryMonitor())
                scores.append(score(agent, task))
                cells.append(f"{scores[-1]:5.2f} (arm {agent.controller.best()})")
            seconds = time.process_time() - started
            print(
                f"{name:22} {seed:4} " + " ".join(f"{cell:>13}" for cell in cells)
                + f"  {np.mean(scores):5.2f}  {min(scores):5.2f}  {seconds:5.0f}", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
