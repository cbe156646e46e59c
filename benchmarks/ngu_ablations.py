"""NGU and its ablations on the Disco Maze, where nothing is to be earned: which share of the maze a greedy episode of 40 steps covers.

    python benchmarks/ngu_ablations.py                                    all variants
    python benchmarks/ngu_ablations.py NGU "random embedding" --seeds 1 2 3

Every variant is also a command, which is printed, such as

    npfl139 train ngu --env npfl139/SmallDiscoMaze-v0 --embedding random
"""

import argparse
import dataclasses
import time

import numpy as np
import torch

import solutions.ngu as ngu
from npfl139 import envs
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor, config_for

VARIANTS = {
    "NGU": {},
    "episodic novelty only": {"novelty": "episodic"},
    "life-long novelty only": {"novelty": "life-long"},
    "random embedding": {"embedding": "random"},
    "no novelty": {"novelty": "none"},
    "four policies": {"policies": 4, "cross_mixture": 0.25},
}


def coverage(agent: ngu.Agent, environment_id: str, arm: int, episodes: int = 64) -> float:
    """Return the mean share of the floor that a policy of the family covers in one greedy episode."""
    environments = envs.make(environment_id, episodes, 99)
    collector, actors = Collector(environments), agent.evaluators(episodes)
    actors.arm[:] = arm
    covered = np.full(episodes, np.nan)
    while np.isnan(covered).any():
        actors.begin(collector.observation, collector.first)
        action, _ = actors.act(actors.see(collector.observation, collector.reward, collector.first), collector.first)
        covered = environments.coverage
        step = collector.step(action + agent.first_action)
        actors.experience(step.next_observation, step.reward)
        if not collector.first.all():
            covered = np.full(episodes, np.nan)
    return float(covered.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []], help="names of variants [default: all]")
    parser.add_argument("--env", default="npfl139/SmallDiscoMaze-v0")
    parser.add_argument("--steps", type=int, help="environment steps of each run [default: the configuration's]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # the first one imports for seconds

    for name in options.variants or VARIANTS:
        base = config_for(ngu, options.env)
        config = dataclasses.replace(base, steps=options.steps or base.steps, **VARIANTS[name])
        scores, seconds = [], []
        for seed in options.seeds:
            started = time.process_time()
            environments = envs.make(options.env, config.env_count, seed)
            agent = ngu.train(environments, dataclasses.replace(config, seed=seed), MemoryMonitor())
            seconds.append(time.process_time() - started)
            scores.append(coverage(agent, options.env, config.policies - 1))  # of the most curious policy
        by_seed = " ".join(f"{score:.2f}" for score in scores)
        print(f"{name:24} median {np.median(scores):.2f}, by seed {by_seed}; median of {np.median(seconds):.1f} s of CPU", flush=True)
        flags = " ".join(f"--{field.replace('_', '-')} {value}" for field, value in VARIANTS[name].items())
        print(f"{'':24} npfl139 train ngu --env {options.env} {flags}".rstrip())


if __name__ == "__main__":
    main()
