"""Does R2D2 end where it arrives? The end of runs on given seeds, their last five evaluations, and when they first were good enough.

    python benchmarks/r2d2_settles.py npfl139/MaskedCartPole-v0 450 --seeds 10 --first-seed 300
    python benchmarks/r2d2_settles.py npfl139/CueRecall-v0 0.85 --return-steps 10

Settings were chosen on the seeds 101 to 106; take others. Options of the configuration change the preset of the environment. CPU seconds
leave the evaluations out.
"""

import argparse
import dataclasses
import statistics
import time

import numpy as np
import torch

import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.config import add_arguments, overridden
from npfl139.evaluation import evaluate
from npfl139.runs import config_for

EVALUATIONS = 25


class Judge:
    """A monitor that evaluates the greedy policy EVALUATIONS times."""

    def __init__(self, environment_id: str, steps: int):
        self.environment_id, self.interval = environment_id, steps // EVALUATIONS
        self.scores, self.seconds = [], []  # mean returns, and CPU seconds of training until then
        self.started, self.spent = time.process_time(), 0.0

    def watch(self, agent: r2d2.Agent, memory: r2d2.SequenceReplay) -> int:
        self.agent = agent
        return 0

    def log(self, steps: int, **scalars: float) -> None:
        if "loss" in scalars and steps >= self.interval * (len(self.scores) + 1):
            begun = time.process_time()
            self.seconds.append(begun - self.started - self.spent)
            self.scores.append(float(evaluate(self.agent.act, envs.make(self.environment_id, 100, 99), 100).mean()))
            self.spent += time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env")
    parser.add_argument("goal", type=float, help="a mean return that is good enough")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=300)
    add_arguments(parser, r2d2.R2D2Config)
    options = parser.parse_args()
    base = overridden(config_for(r2d2, options.env), options)
    torch.set_num_threads(1)
    ends, firsts = [], []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        config = dataclasses.replace(base, seed=seed)
        judge = Judge(options.env, config.steps)
        agent = r2d2.train(envs.make(options.env, config.env_count, seed), config, judge)
        seconds = time.process_time() - judge.started - judge.spent
        ends.append(float(evaluate(agent.act, envs.make(options.env, 100, 10_000 + seed), 100).mean()))
        firsts.append(next((at for at, score in zip(judge.seconds, judge.scores, strict=True) if score >= options.goal), np.inf))
        last = " ".join(f"{score:.5g}" for score in judge.scores[-5:])
        print(f"seed {seed}: end {ends[-1]:.5g}, last five {last}, goal after {firsts[-1]:.1f} s of {seconds:.1f} s", flush=True)
    print(f"ends: worst {min(ends):.5g}, median {statistics.median(ends):.5g}; goal after a median of {statistics.median(firsts):.1f} s")


if __name__ == "__main__":
    main()
