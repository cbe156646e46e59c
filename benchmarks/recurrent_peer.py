"""deep_rl_zoo's R2D2, NGU and Agent57 (a clone of https://github.com/michaelnny/deep_rl_zoo), for `recurrent_throughput.py` beside ours.

Its learner gets a batch that is ready, and its actor puts what it delivers nowhere: neither its replay, which compresses, nor its queues
count. Its detection of anomalies, which slows down every update, is off.
"""

import copy
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import solutions.r2d2 as r2d2

NETWORKS = {"r2d2": "R2d2DqnConvNet", "ngu": "NguDqnConvNet", "agent57": "Agent57Conv2dNet"}
SHAPE, ACTIONS, POLICIES = (1, 84, 84), 18, 32


class Ready:
    """A replay that always gives the same batch."""

    size = 1

    def __init__(self, batch: tuple, size: int):
        self.batch, self.weights, self.keys = batch, np.ones(size, np.float32), np.arange(size)

    def sample(self, size: int) -> tuple:
        return self.batch, self.keys, self.weights

    def update_priorities(self, keys: np.ndarray, priorities: np.ndarray) -> None:
        pass


class Peer:
    """Its actor, of one environment, and its learner, with a batch as large as ours and all else as it has it."""

    def __init__(self, folder: str, name: str, config: r2d2.R2D2Config, held: int):
        """Make them; an episodic memory holds `held` states.

        Raises:
            ImportError: the folder is no clone.
        """
        sys.path.insert(0, folder)
        sys.modules.setdefault("snappy", types.ModuleType("snappy"))  # which would compress what its replay holds
        agent = importlib.import_module(f"deep_rl_zoo.{name}.agent")
        value, curiosity = (importlib.import_module(f"deep_rl_zoo.networks.{part}") for part in ("value", "curiosity"))
        self.timestep = importlib.import_module("deep_rl_zoo.types").TimeStep
        torch.autograd.set_detect_anomaly(False)  # which importing it turns on, for us as well

        policies = {"num_policies": POLICIES} if name != "r2d2" else {}
        network = getattr(value, NETWORKS[name])(SHAPE, ACTIONS, **policies)
        target, predictor = (curiosity.NGURndConvNet(SHAPE, is_target=is_target) for is_target in (True, False))
        embedding = curiosity.NguEmbeddingConvNet(SHAPE, ACTIONS)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        shared = dict.fromkeys(["network", "embedding_network", "rnd_predictor_network"])
        settings = {
            "device": torch.device(config.device), "shared_params": shared, "network": network, "rnd_target_network": target,
            "rnd_predictor_network": predictor, "embedding_network": embedding, "batch_size": config.batch_size, "burn_in": config.burn_in,
            "unroll_length": config.burn_in + config.sequence_length, "target_net_update_interval": 1500, "min_replay_size": 1,
            "clip_grad": True, "max_grad_norm": 40.0, "priority_eta": 0.9, "num_policies": POLICIES, "action_dim": ACTIONS,
            # R2D2
            "n_step": 5, "discount": 0.997, "rescale_epsilon": 0.001,
            # NGU, Agent57
            "retrace_lambda": 0.95, "transformed_retrace": True, "ext_discount": 0.9999, "int_discount": 0.99, "policy_beta": 0.3,
            "ucb_window_size": 90, "ucb_beta": 1.0, "ucb_epsilon": 0.5, "episodic_memory_capacity": max(held, 1),
            "reset_episodic_memory": True, "num_neighbors": 10, "kernel_epsilon": 1e-4, "cluster_distance": 0.008, "max_similarity": 8.0,
            # an actor
            "rank": 0, "num_actors": 256, "actor_update_interval": 10**9, "random_state": np.random.RandomState(1), "data_queue": self,
        }  # fmt: skip
        own = {key: copy.deepcopy(part) if isinstance(part, torch.nn.Module) else part for key, part in settings.items()}
        curious = [*embedding.parameters(), *predictor.parameters()]
        settings |= {
            "optimizer": torch.optim.Adam(network.parameters(), 1e-4),
            "intrinsic_optimizer": torch.optim.Adam(curious, 1e-4),
            "replay": Ready(self._batch(agent.TransitionStructure, network, config), config.batch_size),
        }
        self.actor, self.learner = _called(agent.Actor, own), _called(agent.Learner, settings)
        self.actor.reset()
        self.frames = np.random.default_rng(1).integers(256, size=(64, *SHAPE), dtype=np.uint8)
        self.steps = 0
        for _ in range(held if policies else 0):
            self.act()

    def put(self, unroll: Any) -> None:
        """Take what the actor delivers."""

    def act(self) -> None:
        """Make one step in one environment."""
        self.steps += 1
        self.actor.step(self.timestep(self.frames[self.steps % 64], 0.0, False, False, {}))

    def learn(self) -> None:
        """Make one update; most calls of `step` make none, and cost nothing."""
        while not list(self.learner.step()):
            pass

    def _batch(self, structure: Any, network: torch.nn.Module, config: r2d2.R2D2Config) -> tuple:
        rng, shape = np.random.default_rng(1), (config.burn_in + config.sequence_length + 1, config.batch_size)
        zero = np.zeros(shape, np.float32)
        columns = {
            "s_t": rng.integers(256, size=(*shape, *SHAPE), dtype=np.uint8), "q_t": np.zeros((*shape, ACTIONS), np.float32),
            "a_t": rng.integers(ACTIONS, size=shape), "last_action": rng.integers(ACTIONS, size=shape), "prob_a_t": zero + 0.9,
            "r_t": zero, "ext_r_t": zero, "int_r_t": zero, "beta": zero, "discount": zero + 0.99, "done": zero > 0,
            "policy_index": rng.integers(POLICIES, size=shape),
        }  # fmt: skip
        states = dict.fromkeys([name for name in structure._fields if "init_" in name], np.zeros((*shape, 1, 512), np.float32))
        return structure._replace(**{name: (columns | states)[name] for name in structure._fields})


def _called(function: Callable, settings: dict[str, Any]) -> Any:
    """Call a function with those of the settings that it knows."""
    return function(**{name: settings[name] for name in inspect.signature(function).parameters})
