"""What the papers' 256 actors and 5 updates per second need, reckoned from what one core of this machine does.

    python benchmarks/actors_on_paper.py
    python benchmarks/actors_on_paper.py --agents r2d2 --envs 8

The rates are those of Kapturowski et al. (2019), Section 2.3: 256 actors make about 260 steps per second each, and one learner 5 updates;
Badia et al. (2020a, b) have the same. Measured are, in seconds of CPU and with the agents' paper configurations: a step of the network for
`--envs` environments of one process, on synthetic frames (for NGU and Agent57 with 1,000 states in each episodic memory); a step of Pong;
what packing, unpacking and storing a delivery takes; an update; how large all that is. What is reckoned from it assumes

- that costs add up, so that a core does 1 / cost things per second, and that cores of other machines are as fast as this one;
- that a delivery is pickled, sent and unpickled. Between processes of one machine Ray shares the arrays, which saves a copy;
- that an actor gets new weights with every chunk of 20 steps, and a machine of `--cores` cores fetches each publication once;
- nothing of an accelerator: for updates it says how many times as fast as one core it must be.
"""

import argparse
import pickle
import time
from collections.abc import Callable

import numpy as np
import torch
from recurrent_throughput import AGENTS, Frames, configured, remember, update

import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.distributed.team import CHUNK
from npfl139.distributed.work import Delivery
from npfl139.eager import skip_compiler
from npfl139.recurrent.actors import Actor

ACTORS, STEPS_PER_ACTOR, UPDATES, HELD = 256, 260, 5, 1000
RATE = ACTORS * STEPS_PER_ACTOR


def seconds(function: Callable[[], object], repetitions: int) -> float:
    """Return the CPU seconds of a call, the median after one that is not counted."""
    times = []
    for _ in range(1 + repetitions):
        started = time.process_time()
        function()
        times.append(time.process_time() - started)
    return float(np.median(times[1:]))


def game(count: int = 8, steps: int = 50) -> float:
    """Return the CPU seconds of a step of Pong, with the usual preprocessing."""
    environments = envs.make("ALE/Pong-v5", count, 1)
    environments.reset()
    return seconds(lambda: [environments.step(environments.action_space.sample()) for _ in range(steps)], 3) / count / steps


def measured(name: str, count: int, repetitions: int) -> dict[str, float]:
    """Return costs (seconds) and sizes (bytes) of a process with `count` environments, and of the learner."""
    config = configured(name, "paper", count, "cpu", "float32")
    environments = Frames(count)
    learner, copy = (AGENTS[name].make_agent(environments.single_observation_space, environments.single_action_space, config) for _ in "ab")
    actor = Actor(copy, environments, np.full(count, 0.4), 1)
    actor.collect(None, 1)
    remember(actor.actors, HELD)
    replay, streams, weights = r2d2.make_replay(learner, config), np.arange(count), learner.weights()

    costs = {"acting": seconds(lambda: actor.collect(None, 1), 5 * repetitions) / count}
    delivery = Delivery(0, actor.collect(None, CHUNK), copy.news())
    packed, published = (pickle.dumps(thing, protocol=5) for thing in (delivery, weights))
    costs["packing"] = seconds(lambda: pickle.dumps(delivery, protocol=5), repetitions) / count / CHUNK

    def receive() -> None:
        for experience in pickle.loads(packed).experiences:
            replay.add(streams, *experience)

    needed = -(-config.batch_size // count) * config.sequence_period + config.sequence_length + config.burn_in
    costs["storing"] = seconds(receive, max(repetitions, -(-needed // CHUNK))) / count / CHUNK
    costs["loading"] = seconds(lambda: copy.load_weights(pickle.loads(published)), repetitions)
    costs["publishing"] = seconds(lambda: pickle.dumps(weights, protocol=5), repetitions)
    learner.updates = 1  # past the first, random steps
    costs["update"] = seconds(lambda: update(learner, replay), 1)
    rows = AGENTS[name].CONFIGS["paper"].replay_rows
    return costs | {"step": len(packed) / count / CHUNK, "weights": len(published), "replay": rows * len(packed) / count / CHUNK}


def told(costs: dict[str, float], playing: float, count: int, cores: int) -> list[tuple[str, str]]:
    """Return what is needed, each with its name."""
    chunks = RATE / count / CHUNK
    acting = [RATE * (costs["acting"] + playing), RATE * costs["packing"] + chunks * costs["loading"]]
    machines = np.ceil(sum(acting) / cores)
    receiving = RATE * costs["storing"] + UPDATES * costs["publishing"]
    return [
        ("network, µs/step", f"{costs['acting'] * 1e6:.0f}"),
        ("game, µs/step", f"{playing * 1e6:.0f}"),
        ("both, cores", f"{acting[0]:.0f}"),
        ("packing and new weights, cores", f"{acting[1]:.1f}"),
        (f"machines of {cores} cores", f"{machines:.0f}"),
        ("bytes per step", f"{costs['step']:.0f}"),
        ("steps to the learner, MB/s", f"{RATE * costs['step'] / 1e6:.0f}"),
        ("weights to all machines, MB/s", f"{UPDATES * machines * costs['weights'] / 1e6:.0f}"),
        ("replay, GB", f"{costs['replay'] / 1e9:.0f}"),
        ("receiving and publishing, cores", f"{receiving:.2f}"),
        ("an update on one core, s", f"{costs['update']:.1f}"),
        ("learner as fast as so many cores", f"{UPDATES * costs['update'] / max(1 - receiving, 1e-9):.0f}" if receiving < 1 else "never"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", nargs="+", choices=list(AGENTS), default=list(AGENTS))
    parser.add_argument("--envs", type=int, default=16, help="environments of each actor's process")
    parser.add_argument("--cores", type=int, default=64, help="of a machine that acts")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    skip_compiler()

    playing = game()
    columns = [told(measured(name, options.envs, options.repetitions), playing, options.envs, options.cores) for name in options.agents]
    print(f"{ACTORS} actors × {STEPS_PER_ACTOR} steps/s = {RATE} steps/s, and {UPDATES} updates/s; {options.envs} environments a process")
    print(f"{'':34}" + "".join(f"{name:>10}" for name in options.agents))
    for rows in zip(*columns, strict=True):
        print(f"{rows[0][0]:34}" + "".join(f"{value:>10}" for _, value in rows))


if __name__ == "__main__":
    main()
