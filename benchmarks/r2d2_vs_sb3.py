"""Our R2D2 and sb3-contrib's RecurrentPPO, alternating in one run: CPU seconds until the greedy policy is good enough.

    python benchmarks/r2d2_vs_sb3.py [--seeds 5]
    python benchmarks/r2d2_vs_sb3.py --env npfl139/TwoRooms-v0 --only ours

`benchmarks/peers.py` says what is measured and how. RecurrentPPO has the settings that rl-baselines3-zoo (commit 22e3ff2,
hyperparams/ppo_lstm.yml) tuned for a CartPole without velocities. It has none for mazes and gets the same ones there, with our γ.
"""

import dataclasses
from functools import partial

import peers  # first: it says what to install
from peers import Stopwatch, Task, linear
from sb3_contrib import RecurrentPPO
from torch import nn

from npfl139.runs import config_for
from solutions import r2d2

ZOO = dict(
    n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20, learning_rate=linear(0.001), clip_range=linear(0.2),
    policy_kwargs=dict(
        ortho_init=False, activation_fn=nn.ReLU, lstm_hidden_size=64, enable_critic_lstm=True, net_arch=dict(pi=[64], vf=[64]),
    ),
)  # fmt: skip
TASKS = {
    "npfl139/MaskedCartPole-v0": Task(450, 5000, 100_000, 100, 8, ZOO, normalized=True),
    "npfl139/CueRecall-v0": Task(0.9, 5000, 100_000, 100, 8, ZOO | dict(gamma=0.99), normalized=True),
    "npfl139/TwoRooms-v0": Task(1.9, 5000, 160_000, 100, 8, ZOO | dict(gamma=0.99), normalized=True),
}


def ours(stopwatch: Stopwatch) -> None:
    config = dataclasses.replace(config_for(r2d2, stopwatch.environment_id), seed=stopwatch.seed, device="cpu")
    peers.train_ours(r2d2.train, config, stopwatch)


if __name__ == "__main__":
    theirs = partial(peers.train_theirs, RecurrentPPO, policy="MlpLstmPolicy")
    peers.compare(__doc__.splitlines()[0], TASKS, {"ours": ours, "RecurrentPPO": theirs}, seeds=5)
