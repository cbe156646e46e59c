"""How fast R2D2, NGU and Agent57 act and learn in their papers' configurations, and how much of the time is arithmetic.

    python benchmarks/recurrent_throughput.py                                        on synthetic frames, which need no games
    python benchmarks/recurrent_throughput.py --peer ../deep_rl_zoo                  beside that project's agents
    python benchmarks/recurrent_throughput.py --device cuda --batches paper --envs 256 --precisions float32 bfloat16

A batch of 32x40+80 has 32 sequences of 40 rows of burn-in and 80 steps; `paper` is what the configuration says. Learning includes drawing
the batch and updating its priorities. Times are CPU seconds, and seconds on a GPU. "In kernels" is the share of the time that torch's
profiler sees in the kernels of the GPU, or on the CPU in torch's operators (in brackets: in convolutions and products of matrices alone).
What remains is Python, numpy and waiting. "Off by" says of convolutions in bfloat16 how far the values of a new network are from those of
the same network in float32: the root mean square over a batch, as a share of the values' standard deviation.

deep_rl_zoo (https://github.com/michaelnny/deep_rl_zoo) is no dependency of ours: `--peer` is the folder of a clone. Its actors act one
environment each, and its learner gets a batch that is ready, so that neither its replay nor its queues count.
Its detection of anomalies is off. An update is arithmetic for both, so that learning is about as fast; R2D2's network sees a stack of four
frames with us and one frame there.
"""

import argparse
import copy
import dataclasses
import re
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch.profiler import ProfilerActivity, profile

import solutions.agent57 as agent57
import solutions.ngu as ngu
import solutions.r2d2 as r2d2
from npfl139.eager import skip_compiler
from npfl139.recurrent.actors import Actors, play
from npfl139.recurrent.networks import Convolutions
from npfl139.rollout import Collector
from npfl139.seeding import numpy_stream

AGENTS = {"r2d2": r2d2, "ngu": ngu, "agent57": agent57}
MATRIX = re.compile(r"aten::(mkldnn_)?(convolution(_backward)?|addmm|mm|bmm|mkldnn_rnn_layer(_backward)?)$")


class Frames(VectorEnv):
    """Noise in the place of a game: 84 × 84 shades of grey, 18 actions, seldom a reward, an episode that goes on."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    single_observation_space, single_action_space = Box(0, 255, (84, 84), np.uint8), Discrete(18)

    def __init__(self, count: int):
        self.num_envs, self.rng, self.steps = count, np.random.default_rng(1), 0
        self.frames = self.rng.integers(256, size=(64 + count, 84, 84), dtype=np.uint8)
        self.observation_space, self.action_space = (
            batch_space(s, count) for s in (self.single_observation_space, self.single_action_space)
        )
        self.nobody = np.zeros(count, bool)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        return self.frames[: self.num_envs], {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        self.steps += 1
        start = self.steps % 64
        reward = (self.rng.random(self.num_envs) < 0.01).astype(np.float64)
        return self.frames[start : start + self.num_envs], reward, self.nobody, self.nobody, {}


class Speed(NamedTuple):
    """What was measured of a call."""

    seconds: float  # median
    kernels: float  # share of the time
    matrix: float | None = None  # share of the time, on the CPU


def measured(function: Callable[[], object], repetitions: int, device: torch.device) -> Speed:
    """Return how long a call takes, after two that are not counted: on the CPU its own seconds, not those that others take from it."""

    def timed(clock: Callable[[], float]) -> float:
        started = clock()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - started

    clock = time.perf_counter if device.type == "cuda" else time.process_time
    seconds = float(np.median([timed(clock) for _ in range(2 + repetitions)][2:]))
    with (
        warnings.catch_warnings(),
        profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * (device.type == "cuda")]) as profiler,
    ):
        warnings.simplefilter("ignore")
        elapsed = timed(time.perf_counter)
    events = profiler.key_averages()
    if device.type == "cuda":
        return Speed(seconds, sum(event.self_device_time_total for event in events if event.device_type.name == "CUDA") / 1e6 / seconds)
    own = {event.key: event.self_cpu_time_total / 1e6 / elapsed for event in events if event.key.startswith("aten::")}
    return Speed(seconds, sum(own.values()), sum(share for key, share in own.items() if MATRIX.match(key)))


def configured(name: str, batch: str, envs: int, device: str, precision: str) -> r2d2.R2D2Config:
    """Return the paper's configuration with a replay no larger than what is measured needs."""
    config = AGENTS[name].CONFIGS["paper"]
    if batch != "paper":
        size, burn_in, length = (int(number) for number in re.fullmatch(r"(\d+)x(\d+)\+(\d+)", batch).groups())
        config = dataclasses.replace(
            config, batch_size=size, burn_in=burn_in, sequence_length=length, sequence_period=max(length // 2, burn_in)
        )
    rows = 2 * config.sequence_length + config.sequence_period + config.burn_in + 10
    sizes = {"replay_rows": envs * rows, "replay_sequences": max(2048, envs)}
    return dataclasses.replace(config, env_count=envs, device=device, torso_precision=precision, **sizes)


def remember(actors: Actors, held: int) -> None:
    """Let episodic memories, if there are any, hold so many states."""
    if held and hasattr(actors, "memory"):
        actors.memory.embeddings.normal_()
        actors.memory.count += held


def update(agent: r2d2.Agent, replay: r2d2.SequenceReplay) -> None:
    """Make one update, as a training does."""
    batch = replay.sample(np.linspace(0, 0.999, agent.config.batch_size))
    replay.update_priorities(batch.key, agent.improve(batch, len(replay))[0])


def rounding(agent: r2d2.Agent, batch: r2d2.Batch) -> float:
    """Return by which share of their standard deviation the values of the batch differ from those of a torso that computes in float32."""
    exact = copy.deepcopy(agent.network)
    for module in exact.modules():
        if isinstance(module, Convolutions):
            module.dtype = torch.float32
    with torch.no_grad():
        rounded, reference = (agent.values(network, batch) for network in (agent.network, exact))
    return float((rounded - reference).square().mean().sqrt() / reference.std())


def ours(config: r2d2.R2D2Config, name: str, held: int, repetitions: int) -> tuple[Speed, Speed, int, float]:
    """Return how fast our agent acts (a step in every environment) and learns (an update), its parameters, and its `rounding`."""
    environments = Frames(config.env_count)
    agent = AGENTS[name].make_agent(environments.single_observation_space, environments.single_action_space, config)
    replay, collector, streams = r2d2.make_replay(agent, config), Collector(environments), np.arange(config.env_count)
    actors = agent.explorers(np.full(config.env_count, 0.4), numpy_stream(config.seed, "exploration"))
    state, nobody = np.zeros((config.env_count, agent.network.state_size), np.float32), np.zeros(config.env_count, bool)
    first = play(collector, actors)
    remember(actors, held)
    while len(replay) < config.batch_size or replay.store.written[0] < 2 * config.sequence_length:
        replay.add(streams, first.row, state, nobody, first.successor)

    agent.updates = 1  # past the first, random steps
    off = rounding(agent, agent.batch(replay.sample(np.linspace(0, 0.999, config.batch_size))))

    acting = measured(lambda: replay.add(streams, *play(collector, actors)), 3 * repetitions, agent.device)
    learning = measured(lambda: update(agent, replay), repetitions, agent.device)
    return acting, learning, sum(parameter.numel() for parameter in agent.network.parameters()), off


def told(
    name: str, precision: str, batch: str, parameters: int, envs: int, acting: Speed, learning: Speed, off: float | None = None
) -> str:
    shares = [f"{speed.kernels:4.0%}" + (f" ({speed.matrix:.0%})" if speed.matrix is not None else "") for speed in (acting, learning)]
    return (f"{name:12} {precision:9} {batch:9} {parameters / 1e6:6.1f} {envs / acting.seconds:11.0f} {shares[0]:>11} "
            f"{1 / learning.seconds:10.3f} {shares[1]:>11} {'' if off is None else f'{off:.2%}':>7}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", nargs="+", choices=list(AGENTS), default=list(AGENTS))
    parser.add_argument("--batches", nargs="+", default=["32x40+80", "64x0+80"], help="sequences x burn-in + steps, or paper")
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--envs", type=int, default=32, help="environments that act together [default: 32; 256 in the papers]")
    parser.add_argument("--held", type=int, default=1000, help="states in the episodic memory of each")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", help="folder of a clone of deep_rl_zoo")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    skip_compiler()

    where = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    print(f"{where}; {options.envs} environments, {options.held} states in each episodic memory; torch {torch.__version__}")
    print(
        f"{'':12} {'torso':9} {'batch':9} {'10⁶ p.':>6} {'env steps/s':>11} {'in kernels':>11} "
        f"{'updates/s':>10} {'in kernels':>11} {'off by':>7}",
        flush=True,
    )
    for batch in options.batches:
        for name in options.agents:
            for precision in options.precisions:
                config = configured(name, batch, options.envs, options.device, precision)
                acting, learning, parameters, off = ours(config, name, options.held, options.repetitions)
                print(told(name, precision, batch, parameters, options.envs, acting, learning, off), flush=True)
            if options.peer:
                import recurrent_peer

                peer = recurrent_peer.Peer(options.peer, name, config, options.held)
                device = torch.device(options.device)
                speeds = measured(peer.act, 3 * options.repetitions, device), measured(peer.learn, options.repetitions, device)
                print(told(f"its {name}", "float32", batch, peer.parameters, 1, *speeds), flush=True)
    if not options.peer:
        print("deep_rl_zoo was not measured: --peer names the folder of a clone.")


if __name__ == "__main__":
    main()
