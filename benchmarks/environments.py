"""Steps per second of our environments, and how many times as fast they are as Gymnasium's own vector CartPole in the same run.

    OMP_NUM_THREADS=1 python benchmarks/environments.py [--count 256] [--steps 300] [--repeats 9]

All play uniformly random actions drawn beforehand, in one process, in turns; of each the fastest turn counts, in CPU time, so that
what else the machine does weighs little. Where a name has options, they are the paper's.
"""

import argparse
import time

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from npfl139 import envs

PEER = "Gymnasium's CartPole-v1"
PAPER = {"npfl139/DiscoMaze-v0": {"size": 21, "new_maze": True, "deadly_walls": True}, "npfl139/RandomCoin-v0": {"size": 15, "steps": 200}}


def seconds(environments: VectorEnv, actions: np.ndarray) -> float:
    """Return the CPU seconds that the steps take."""
    start = time.process_time()
    for action in actions:
        environments.step(action)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("count", 256), ("steps", 300), ("repeats", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    settings = parser.parse_args()
    every = {PEER: gymnasium.make_vec("CartPole-v1", settings.count, vectorization_mode="vector_entry_point")}
    every |= {name: envs.make(name, settings.count, 0) for name in sorted(envs.OURS)}
    every |= {f"{name} {options}": envs.make(name, settings.count, 0, **options) for name, options in PAPER.items()}
    actions = {}
    for name, environments in every.items():
        environments.reset(seed=0)
        environments.action_space.seed(0)
        actions[name] = np.stack([environments.action_space.sample() for _ in range(settings.steps)])
    turns = [{name: seconds(every[name], actions[name]) for name in every} for _ in range(settings.repeats)]
    fastest = {name: min(turn[name] for turn in turns) for name in every}
    print(f"{settings.count} copies: million steps/s, ratio to {PEER}")
    for name, shortest in fastest.items():
        print(f"{settings.count * settings.steps / shortest / 1e6:7.2f} {fastest[PEER] / shortest:7.2f}  {name}")


if __name__ == "__main__":
    main()
