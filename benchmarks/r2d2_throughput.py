"""How fast R2D2 acts and learns, beside the time spent in the environment alone and in the network alone.

    python benchmarks/r2d2_throughput.py --env ALE/Pong-v5 --config paper --env-count 32 --replay-rows 20000
    python benchmarks/r2d2_throughput.py --env npfl139/TwoRooms-v0

Our own code is what remains: acting minus environment minus network, learning minus forward and backward.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable

import numpy as np
import torch

import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.config import add_arguments, overridden
from npfl139.recurrent.actors import play
from npfl139.rollout import Collector
from npfl139.runs import config_for
from npfl139.seeding import numpy_stream


def seconds_of(function: Callable[[], object], repetitions: int) -> float:
    """Return the median time of a call, after one that is not counted."""
    function()
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="ALE/Pong-v5")
    parser.add_argument("--config", choices=list(r2d2.CONFIGS))
    parser.add_argument("--repetitions", type=int, default=5)
    add_arguments(parser, r2d2.R2D2Config)
    options = parser.parse_args()
    config = overridden(config_for(r2d2, options.config or options.env), options)
    if config.replay_rows > 1_000_000:
        config = dataclasses.replace(config, replay_rows=100_000)  # the rows that are needed here fit

    environments = envs.make(options.env, config.env_count, config.seed)
    agent = r2d2.make_agent(environments.single_observation_space, environments.single_action_space, config)
    replay, collector = r2d2.make_replay(agent, config), Collector(environments)
    actors = agent.explorers(np.full(config.env_count, 0.4), numpy_stream(config.seed, "exploration"))
    streams = np.arange(config.env_count)
    while len(replay) < config.batch_size:
        replay.add(streams, *play(collector, actors))
    sequences = replay.sample(np.linspace(0, 0.999, config.batch_size))
    seen = actors.see(collector.observation, collector.reward, collector.first)
    actions = environments.action_space.sample()

    def learn() -> None:
        batch = replay.sample(np.linspace(0, 0.999, config.batch_size))
        replay.update_priorities(batch.key, agent.improve(batch, len(replay))[0])

    environment = seconds_of(lambda: environments.step(actions), 10 * options.repetitions)
    network = seconds_of(lambda: actors.act(seen, collector.first), 3 * options.repetitions)
    acting = seconds_of(lambda: replay.add(streams, *play(collector, actors)), 3 * options.repetitions)
    improving = seconds_of(lambda: agent.improve(sequences, len(replay)), options.repetitions)
    learning = seconds_of(learn, options.repetitions)

    parameters = sum(parameter.numel() for parameter in agent.network.parameters())
    count = config.env_count
    print(f"{options.env}: {count} environments, {parameters:,} parameters on {agent.device}, {torch.get_num_threads()} threads, "
          f"{config.batch_size} sequences of {config.burn_in} + {config.sequence_length} steps")  # fmt: skip
    print(f"acting     {count / acting:10.0f} environment steps/s")
    print(f"  environment alone {count / environment:10.0f} steps/s, {environment / acting:4.0%} of the time")
    print(f"  network alone     {count / network:10.0f} steps/s, {network / acting:4.0%}")
    print(f"  replay and rest   {'':10}          {max(0, 1 - (environment + network) / acting):4.0%}")
    print(f"learning   {1 / learning:10.2f} updates/s")
    print(f"  forward, backward and optimizer alone {1 / improving:.2f} updates/s, {improving / learning:4.0%} of the time")
    cycle = learning + acting * config.steps_per_update / count
    print(f"together   {config.steps_per_update / cycle:10.0f} environment steps/s at {config.steps_per_update} steps per update, "
          f"{learning / cycle:.0%} of it learning")  # fmt: skip
    print(f"replay     {replay.nbytes / 1e9:10.2f} GB for {config.replay_rows:,} rows")


if __name__ == "__main__":
    main()
