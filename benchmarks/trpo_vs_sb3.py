"""Our TRPO and sb3-contrib's, alternating in one run: CPU seconds until the greedy policy is good enough, or the score after a budget.

    python benchmarks/trpo_vs_sb3.py [--env CartPole-v1|InvertedPendulum-v5|Swimmer-v5|Hopper-v5] [--seeds 3]

`benchmarks/peers.py` says what is measured and how. sb3-contrib has the settings of rl-baselines3-zoo (commit 22e3ff2,
hyperparams/trpo.yml), which has none for InvertedPendulum: there it gets those of the other MuJoCo tasks.
"""

import dataclasses
from functools import partial

import peers  # first: it says what to install
from peers import Stopwatch, Task
from sb3_contrib import TRPO

from solutions import trpo

MUJOCO = dict(n_steps=1024, batch_size=128, sub_sampling_factor=1, cg_max_steps=25, cg_damping=0.1, n_critic_updates=20, learning_rate=1e-3)
TASKS = {
    "CartPole-v1": Task(
        475, 2048, 50_000, 100, 2,
        dict(n_steps=512, batch_size=512, cg_damping=1e-3, gae_lambda=0.98, gamma=0.99, learning_rate=1e-3, n_critic_updates=20),
    ),
    "InvertedPendulum-v5": Task(950, 4096, 50_000, 20, 2, MUJOCO, normalized=True),
    "Swimmer-v5": Task(300, 20_000, 200_000, 10, 2, MUJOCO | dict(gamma=0.9999), normalized=True),
    "Hopper-v5": Task(2000, 20_000, 200_000, 10, 2, MUJOCO, normalized=True),
}  # fmt: skip


def ours(stopwatch: Stopwatch) -> None:
    config = trpo.CONFIGS.get(stopwatch.environment_id, trpo.TRPOConfig())
    config = dataclasses.replace(config, seed=stopwatch.seed, steps=stopwatch.task.steps, device="cpu")
    peers.train_ours(trpo.train, config, stopwatch)


if __name__ == "__main__":
    peers.compare(__doc__.splitlines()[0], TASKS, {"ours": ours, "sb3-contrib": partial(peers.train_theirs, TRPO)}, seeds=3)
