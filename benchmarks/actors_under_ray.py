"""How fast R2D2 trains on the two rooms in one process, and with actors in others under Ray, and what more processors would give.

    python benchmarks/actors_under_ray.py
    python benchmarks/actors_under_ray.py --actors 1 2 4 --steps 100000

Start and end of the processes are not counted, nor the steps before the first update. "Learner" is the share of the time that the learner's
process uses of one processor; "steps per its second" is what it would train with as many actors as keep it busy, and so the most that more
processors can give. All runs have the same setting, in turns.
"""

import argparse
import contextlib
import dataclasses
import os
import statistics
import time

import torch

import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.distributed.ray_engine import ray_team
from npfl139.eager import skip_compiler
from npfl139.runs import MemoryMonitor

ENVIRONMENT = "npfl139/TwoRooms-v0"


class Clock(MemoryMonitor):
    """A monitor that knows when the first update came, and the last."""

    def __init__(self):
        super().__init__()
        self.marks: list[tuple[int, float, float]] = []  # steps, seconds, CPU seconds of this process

    def log(self, steps: int, **scalars: float) -> None:
        super().log(steps, **scalars)
        if "loss" in scalars:
            self.marks[1:] = [(steps, time.perf_counter(), time.process_time())]


def measured(config: r2d2.R2D2Config, actors: int) -> tuple[float, float, Clock]:
    """Return the steps per second and per CPU second of this process, and the log; with 0 actors it acts itself."""
    acting = ray_team(r2d2, ENVIRONMENT, config, actors) if actors else envs.make(ENVIRONMENT, config.env_count, config.seed)
    with contextlib.closing(acting) as environments:
        environments.monitor = clock = Clock()
        r2d2.train(environments, config, clock)
    begun, ended = clock.marks
    steps, seconds, own = (last - first for first, last in zip(begun, ended, strict=True))
    return steps / seconds, steps / own, clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    skip_compiler()

    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {options.steps} steps, medians of {options.seeds} runs")
    print(f"{'':12}{'steps/s':>10}{'learner':>10}{'steps per its second':>23}{'staleness':>12}")
    results: dict[int, list] = {count: [] for count in (0, *options.actors)}
    for seed in range(options.seeds):
        config = dataclasses.replace(r2d2.CONFIGS[ENVIRONMENT], seed=100 + seed, steps=options.steps)
        for count, found in results.items():
            found.append(measured(config, count))
    for count, found in results.items():
        speed, per_own = (statistics.median(run[part] for run in found) for part in (0, 1))
        stale = [value for *_, clock in found for _, value in clock.scalars.get("staleness", [])]
        name = f"{count} actor{'s' * (count > 1)}" if count else "in process"
        print(f"{name:12}{speed:10.0f}{speed / per_own:10.0%}{per_own:23.0f}" + (f"{statistics.mean(stale):12.2f}" if stale else ""))


if __name__ == "__main__":
    main()
