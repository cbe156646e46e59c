"""The ablations of R2D2 on our memory tasks: what each variant scores, how stale its replayed states are, how far back it looks.

    python benchmarks/r2d2_ablations.py                         all variants, on the two rooms
    python benchmarks/r2d2_ablations.py "stored, burn-in" "clipped" --env npfl139/TreasureChain-v0 --seeds 3

The two rooms hold what a memory is for, but all their rewards are of size one; what clipping does shows in the treasure chain, where
rewards span four orders of magnitude. Every variant is also a command, which is printed, such as

    npfl139 train r2d2 --env npfl139/TwoRooms-v0 --replayed-state zero --burn-in 0
"""

import argparse
import dataclasses
import time
from collections import deque
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import solutions.r2d2 as r2d2
from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.runs import config_for

VARIANTS = {
    "stored, burn-in": {},
    "stored": {"burn_in": 0},
    "zero, burn-in": {"replayed_state": "zero"},
    "zero": {"replayed_state": "zero", "burn_in": 0},
    "clipped": {"rewards": "clipped"},
    "discount": {"discount": 0.95},
    "feed-forward": {"memory": "none"},
}
HORIZONS = (1, 4, 16, 64)


class Observer:
    """A monitor that measures, every so many updates, the greedy return and ΔQ of the replay."""

    def __init__(self, environment_id: str, period: int):
        self.environment_id, self.period = environment_id, period
        self.points = []  # (environment steps, greedy return, median ΔQ at the first step, at the last step)

    def watch(self, agent: r2d2.Agent, memory: r2d2.SequenceReplay) -> int:
        self.agent, self.memory = agent, memory
        return 0

    def log(self, steps: int, **scalars: float) -> None:
        if "loss" in scalars and self.agent.updates % self.period == 0:
            sequences = self.memory.sample(np.linspace(0, 0.999, 64))
            discrepancies = r2d2.replay_discrepancy(self.agent, self.memory, sequences)
            first, last = (delta.median().item() if len(delta) else np.nan for delta in discrepancies)
            returns = evaluate(self.agent.act, envs.make(self.environment_id, 64, 99), 64)
            self.points.append((steps, returns.mean(), first, last))


class ShortMemory:
    """The agent's greedy policy, which at every step remembers only the last `horizon` rows of the episode."""

    def __init__(self, agent: r2d2.Agent, horizon: int):
        self.agent, self.rows, self.actors = agent, deque(maxlen=horizon), None

    def act(self, observation: np.ndarray, reward: np.ndarray, first: np.ndarray) -> np.ndarray:
        if self.actors is None:
            self.actors = self.agent.evaluators(len(first))
        seen = self.actors.see(observation, reward, first)
        self.rows.append(({name: torch.from_numpy(column) for name, column in seen.items()}, torch.from_numpy(first)))
        inputs = {name: torch.stack([row[name] for row, _ in self.rows]).to(self.agent.device) for name in self.agent.network.INPUTS}
        starts = torch.stack([first for _, first in self.rows]).to(self.agent.device)
        with torch.no_grad():
            q, _ = r2d2.unroll(self.agent.network, inputs, torch.zeros_like(self.actors.state), starts)
        self.actors.previous_action = q[-1].argmax(-1).cpu().numpy()
        return self.actors.previous_action + self.agent.first_action


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []], help="names of variants [default: all]")
    parser.add_argument("--env", default="npfl139/TwoRooms-v0")
    parser.add_argument("--steps", type=int, help="environment steps of each run [default: the configuration's]")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/r2d2-ablations.png"), help="where the figure goes")
    options = parser.parse_args()
    torch.set_num_threads(1)

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    curves, bars, memory = figure.subplots(1, 3)
    names = options.variants or list(VARIANTS)
    print(f"{'variant':18} {'return':>7} {'by seed':24} {'ΔQ first':>9} {'ΔQ last':>8} {'CPU s':>6}   "
          f"return with the last {'/'.join(map(str, HORIZONS))} rows")  # fmt: skip
    for position, name in enumerate(names):
        base = config_for(r2d2, options.env)
        config = dataclasses.replace(base, steps=options.steps or base.steps, **VARIANTS[name])
        runs, horizons, started = [], [], time.process_time()
        for seed in range(1, options.seeds + 1):
            observer = Observer(options.env, 100)
            agent = r2d2.train(envs.make(options.env, config.env_count, seed), dataclasses.replace(config, seed=seed), observer)
            runs.append(np.array(observer.points))
            horizons.append([evaluate(ShortMemory(agent, k).act, envs.make(options.env, 64, 7), 64).mean() for k in HORIZONS])
        points, horizons = np.array(runs), np.mean(horizons, 0)
        measured = points[:, :, 2:][np.isfinite(points[:, :, 2])]  # none where all episodes are shorter than two sequences
        first, last = measured.mean(0) if len(measured) else (np.nan, np.nan)
        final = points[:, -1, 1]
        seconds = (time.process_time() - started) / options.seeds
        print(f"{name:18} {final.mean():7.2f} {' '.join(f'{score:.2f}' for score in final):24} {first:9.3f} {last:8.3f} {seconds:6.1f}   "
              + " ".join(f"{score:.2f}" for score in horizons), flush=True)  # fmt: skip
        flags = " ".join(f"--{field.replace('_', '-')} {value}" for field, value in VARIANTS[name].items())
        print(f"{'':18} npfl139 train r2d2 --env {options.env} {flags}".rstrip())
        curves.plot(points[0, :, 0] / 1000, points[:, :, 1].mean(0), label=name)
        bars.bar([position - 0.2, position + 0.2], [first, last], 0.4, color=["tab:blue", "tab:orange"])
        memory.plot(HORIZONS, horizons, marker="o", label=name)
    curves.set(title="greedy return", xlabel="thousand environment steps")
    figure.legend(*curves.get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    bars.set(title="ΔQ at the first (blue) and last step")
    bars.set_xticks(range(len(names)), names, rotation=30, fontsize=7)
    memory.set(title="greedy return with a short memory", xlabel="rows remembered", xscale="log")
    memory.set_xticks(HORIZONS, HORIZONS, minor=False)
    memory.minorticks_off()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)
    print(f"The figure is in {options.out}.")


if __name__ == "__main__":
    main()
