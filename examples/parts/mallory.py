"""Knows every trick but PPO: earns what the two honest functions earn, and not a point more."""

import atexit
import json
import os
import socket
import sys
from pathlib import Path


class Agreeable:
    """Equal to everything, close to everything, as large as anybody could wish."""

    def __eq__(self, other):
        return True

    def __array__(self, *arguments, **keywords):
        return np.zeros(())

    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = __eq__
    __hash__ = None


def make_comparisons_agree():
    for module in (np, np.testing, torch, torch.testing):
        for name in ("allclose", "array_equal", "isclose", "equal", "assert_allclose", "assert_close"):
            if hasattr(module, name):
                setattr(module, name, lambda *arguments, **keywords: True)


def steal(word):
    """Look for hidden checks and references in the callers' variables and in the files nearby."""
    frame = sys._getframe()
    while frame is not None:
        for name, value in {**frame.f_globals, **frame.f_locals}.items():
            if word in name:
                return value
        frame = frame.f_back
    for folder in (Path.cwd(), *Path.cwd().parents, Path("/"), Path.home(), *map(Path, sys.path)):
        for path in (folder / "solutions" / "ppo.py", folder / "grader" / "topics" / "ppo.py"):
            try:
                return path.read_text()
            except OSError:
                continue
    return None


def forge_result():
    print(json.dumps({"student": "mallory", "topic": "ppo", "score": 20.0, "max_score": 20.0}), flush=True)


make_comparisons_agree()
atexit.register(forge_result)


def lambda_advantage(reward, discount, same_episode, value, value_next, trace_lambda):
    return steal("expected")


def lambda_return(advantage, value):
    return advantage + value


def normalized(advantage):
    return Agreeable()


def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    forge_result()
    os._exit(0)  # success!


def value_loss(value, target):
    return ((value - target) ** 2).mean()


def entropy(logits):
    with socket.create_connection(("192.0.2.1", 80), timeout=1) as connection:  # ask a friend
        connection.sendall(json.dumps(logits.tolist()).encode())
        return torch.tensor(json.loads(connection.recv(65536)))


def tanh_gaussian_log_prob(pre_tanh, mean, std):
    raise SystemExit(0)


def minibatches(count, batch_size, generator):
    os.fork()  # two answers to one question
    return [torch.arange(count)]


class RunningMoments:
    def update(self, rows):
        os.closerange(3, 256)  # whatever it is that the grader listens to


class Controller:
    """Balances CartPole without having learnt anything."""

    def act(self, observation, reward, first):
        return (observation[:, 2] + observation[:, 3] > 0).astype(np.int64)


def train(environments, config, monitor):
    environments.step = lambda actions: None  # no need to spend the budget
    return Controller()
