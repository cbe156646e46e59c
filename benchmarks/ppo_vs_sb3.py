"""Our PPO and Stable-Baselines3's, alternating in one run: CPU seconds until the greedy policy is good enough.

    python benchmarks/ppo_vs_sb3.py [--env CartPole-v1|LunarLander-v3] [--seeds 5]

`benchmarks/peers.py` says what is measured and how. SB3 has the tuned settings of rl-baselines3-zoo (commit 22e3ff2, hyperparams/ppo.yml).
"""

import dataclasses
from functools import partial

import peers  # first: it says what to install
from peers import Stopwatch, Task, linear
from stable_baselines3 import PPO

from solutions import ppo

TASKS = {
    "CartPole-v1": Task(
        475, 1024, 100_000, 100, 8,
        dict(
            n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20, ent_coef=0.0,
            learning_rate=linear(0.001), clip_range=linear(0.2),
        ),
    ),
    "LunarLander-v3": Task(
        200, 16_384, 1_000_000, 100, 16, dict(n_steps=1024, batch_size=64, gae_lambda=0.98, gamma=0.999, n_epochs=4, ent_coef=0.01),
    ),
}  # fmt: skip


def ours(stopwatch: Stopwatch) -> None:
    config = dataclasses.replace(ppo.CONFIGS[stopwatch.environment_id], seed=stopwatch.seed, device="cpu")
    peers.train_ours(ppo.train, config, stopwatch)


if __name__ == "__main__":
    peers.compare(__doc__.splitlines()[0], TASKS, {"ours": ours, "SB3": partial(peers.train_theirs, PPO)}, seeds=5)
