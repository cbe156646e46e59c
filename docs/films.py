"""Films agents at the start, half-way and at the end of one training: python -m docs.films [TOPIC]... writes _static/films/ and films.json.

Without topics all are filmed. The films are committed, as training anew for each build of the site would take minutes; films.json says by
which command each was made.
"""

import dataclasses
import importlib
import json
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.rollout import Collector
from npfl139.runs import MemoryMonitor, config_for

DOCS = Path(__file__).resolve().parent
SEED, EPISODES = 1, 20
WIDTH, FRAMES, MILLISECONDS = 220, 70, 60
SHOTS = ("start", "middle", "end")
ROLES = (
    ("trpo", "CartPole-v1", "TRPO balances a pole", "The same pole, with steps that are as long as the divergence allows."),
    ("ppo", "CartPole-v1", "PPO balances a pole", "Every step that the pole stands earns 1, at most 500."),
    ("ppo", "npfl139/CollectContinuous-v0", "PPO with continuous actions", "A puck is pushed to a place, and stays until that jumps."),
    ("ppo", "LunarLander-v3", "PPO lands", "A landing between the flags is worth about 200."),
    ("r2d2", "npfl139/TwoRooms-v0", "R2D2 remembers", "Two rooms ask for a cue that was shown at the entrance; 2 is the best return."),
    ("ngu", "npfl139/DiscoGoal-v0", "NGU finds a goal that nobody points at", "Walls flicker; only the cell farthest from the start pays."),
    ("agent57", "npfl139/Vaults-v0", "Agent57 opens vaults", "Three combination locks; each vault pays a third, once an episode."),
)  # fmt: skip


class Cameraman(MemoryMonitor):
    """Films the agent that it watches."""

    def __init__(self, environment: str, name: str, steps: int):
        super().__init__()
        self.environment, self.name, self.total = environment, name, steps
        self.shots: list[dict[str, Any]] = []

    def watch(self, agent: Any, memory: Any = None) -> int:
        """Film the untrained agent."""
        self.agent = agent
        self.shoot(0)
        return 0

    def log(self, steps: int, **scalars: float) -> None:
        """Film the agent when half of the training is over."""
        if len(self.shots) == 1 and steps >= self.total / 2:
            self.shoot(steps)

    def shoot(self, steps: int) -> None:
        """Film one greedy episode, and measure the mean return of several."""
        agent, file = self.agent, f"{self.name}-{SHOTS[len(self.shots)]}.webp"
        returns = evaluate(agent.act, envs.make(self.environment, EPISODES, SEED + 1000), EPISODES)
        environment = envs.make(self.environment, 1, SEED + 2000, render_mode="rgb_array")
        collector, frames = Collector(environment), [environment.render()[0]]
        while True:
            collector.step(agent.act(collector.observation, collector.reward, collector.first))
            if collector.first[0]:
                break
            frames.append(environment.render()[0])
        environment.close()
        save(frames, DOCS / "_static" / "films" / file)
        self.shots.append({"file": file, "steps": int(steps), "return": round(float(returns.mean()), 3)})


def save(frames: list[np.ndarray], path: Path) -> None:
    """Write a small animation: of a long episode every n-th frame."""
    chosen = frames[:: -(-len(frames) // FRAMES)]
    pictures = [Image.fromarray(np.asarray(frame)) for frame in chosen]
    pictures = [picture.resize((WIDTH, round(WIDTH * picture.height / picture.width)), Image.Resampling.LANCZOS) for picture in pictures]
    path.parent.mkdir(parents=True, exist_ok=True)
    durations = [MILLISECONDS] * (len(pictures) - 1) + [1200]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=35, method=6, minimize_size=True)


def main(topics: list[str]) -> None:
    """Train and film the roles of the topics, by default all; the films of the others stay."""
    torch.set_num_threads(1)
    films = json.loads((DOCS / "films.json").read_text())
    for topic, environment, title, text in ROLES:
        if topics and topic not in topics:
            continue
        module = importlib.import_module(f"solutions.{topic}")
        config = dataclasses.replace(config_for(module, environment), seed=SEED)
        name = f"{topic}-{environment.rpartition('/')[2].lower()}"
        cameraman = Cameraman(environment, name, config.steps)
        module.train(envs.make(environment, config.env_count, SEED), config, cameraman)
        cameraman.shoot(config.steps)
        made = {"date": date.today().isoformat(), "torch": version("torch"), "command": "python -m docs.films", "seed": SEED}
        command = f"npfl139 train {topic} --env {environment} --seed {SEED}"
        films = [film for film in films if film["title"] != title]
        films.append({"title": title, "text": text, "command": command, "made": made, "shots": cameraman.shots})
        titles = [role[2] for role in ROLES]
        films.sort(key=lambda film: titles.index(film["title"]))
        (DOCS / "films.json").write_text(json.dumps(films, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
