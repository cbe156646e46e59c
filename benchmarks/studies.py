"""Runs of our agents over variants, tasks and seeds, on as many cores as there are: each result is a line of JSON as soon as it is known.

    python benchmarks/studies.py suite --jobs 16                                  all variants on all tasks and seeds of a study
    python benchmarks/studies.py maze goal --jobs 16 --variants NGU --seeds 1 2 3
    python benchmarks/studies.py suite --seeds 101 102 --set batch_size=64 --set batch_size=16 steps=50000      two settings to be tried

Runs whose line is in the file already are not made again, so an interrupted program goes on where it was. `benchmarks/tables.py` makes
tables of the lines. Settings were chosen on seeds 101 to 110, of `maze` on 1 to 4; seeds that are reported are others.

The studies:
    suite    Agent57, its ablations, NGU and R2D2 on the six tasks: greedy scores, 0 for random play and 1 for the best
    minute   Agent57 on the six tasks with 416 updates in place of 708, on longer sequences: half the time, and worse
    coin     two heads or one, for growing curiosity, on RandomCoin: the score of the incurious policy (Badia et al., 2020b, Figure 5)
    maze     NGU and its ablations on the Disco Maze of 7 × 7: the share of the maze that a greedy episode of 40 steps covers; and how
             often, in episodes of random steps, a cell that is new to the episode earns more curiosity than a known one
    mazes    the same in another maze in each episode, as in the paper: 60,000 steps, with smaller batches
    goal     the same variants where the farthest cell pays: the score of the incurious policy
    bigmaze  NGU on mazes of 21 × 21, another one in each episode
    hopper   TRPO with the settings that it had, and with smaller batches and longer steps: mean greedy returns
    swimmer  the same with the settings that it has
    settles  R2D2 on tasks of memory: mean greedy returns all along the run, to see whether it ends where it arrives

Needed are torch, numpy, scipy, gymnasium, safetensors and rich, and mujoco for Hopper.
"""

import argparse
import ast
import dataclasses
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import scipy.stats
import torch

import solutions.agent57 as agent57
import solutions.ngu as ngu
import solutions.r2d2 as r2d2
import solutions.trpo as trpo
from npfl139 import envs
from npfl139.evaluation import evaluate
from npfl139.rollout import Collector
from npfl139.runs import config_for

EVALUATION_SEED = 9_999
Measures = dict[str, Any]


def greedy(agent: Any, environment_id: str, episodes: int, **options: Any) -> float:
    """Return the mean greedy return."""
    return float(evaluate(agent.act, envs.make(environment_id, episodes, EVALUATION_SEED, **options), episodes).mean())


def score(agent: Any, environment_id: str) -> float:
    """Return the mean greedy return, from 0 for that of random play to 1 for the best one."""
    without_luck = {"prize": 0.0} if "Lottery" in environment_id else {}  # of mean 0: its variance says nothing about the agent
    bounds = envs.make(environment_id, 1, 0, **without_luck)
    return (greedy(agent, environment_id, 64, **without_luck) - bounds.random_return) / (bounds.best_return - bounds.random_return)


def on_suite(agent: agent57.Agent, environment_id: str, options: dict[str, Any], end: bool) -> Measures:
    """The evaluator's policy, and what the bandit thinks of each; in the end the score of each, and that of the evaluator's."""
    window, controller = list(agent.controller.bandit.window), agent.controller
    pulls = np.bincount([arm for arm, _ in window], minlength=agent.config.policies)
    means = np.bincount([arm for arm, _ in window], [value for _, value in window], agent.config.policies) / pulls.clip(1)
    measures = {"arm": controller.best(), "pulls": pulls.tolist(), "means": means.tolist()}
    if end:
        measures["arms"] = []
        for arm in range(agent.config.policies):
            with mock.patch.object(controller, "best", return_value=arm):
                measures["arms"].append(score(agent, environment_id))
        measures["score"] = measures["arms"][measures["arm"]]
    return measures


def on_maze(agent: ngu.Agent, environment_id: str, options: dict[str, Any], end: bool) -> Measures:
    """The shares of the floor that a greedy episode of each policy covers, and one of random steps; and the score where a goal pays."""
    covered = [coverage(agent, environment_id, arm, 0.0, options)[0] for arm in range(agent.config.policies)]
    by_chance, told_apart = coverage(agent, environment_id, 0, 1.0, options)
    measures: Measures = {"coverage": covered, "coverage by chance": by_chance, "told apart": told_apart}
    return measures | ({"score": score(agent, environment_id)} if "Goal" in environment_id else {})


def coverage(
    agent: ngu.Agent, environment_id: str, arm: int, epsilon: float, options: dict[str, Any], episodes: int = 64
) -> tuple[float, float]:
    """The share of the floor that an ε-greedy episode covers; how often a step into a new cell earns more than another, a tie half."""
    environments = envs.make(environment_id, episodes, EVALUATION_SEED, **options)
    collector, actors = Collector(environments), agent.evaluators(episodes)
    actors.arm[:], actors.epsilon[:], actors.rng = arm, epsilon, np.random.default_rng(EVALUATION_SEED)
    covered, alive = environments.coverage, np.ones(episodes, bool)
    new, known = [], []
    while alive.any():
        actors.begin(collector.observation, collector.first)
        action, _ = actors.act(actors.see(collector.observation, collector.reward, collector.first), collector.first)
        step = collector.step(action + agent.first_action)
        actors.experience(step.next_observation, step.reward)
        alive &= ~collector.first  # the last step is not counted: the environment has begun another episode
        is_new = environments.coverage > covered
        new += actors.intrinsic[alive & is_new].tolist()
        known += actors.intrinsic[alive & ~is_new].tolist()
        covered = np.where(alive, environments.coverage, covered)
    told_apart = scipy.stats.mannwhitneyu(new, known).statistic / len(new) / len(known) if new and known else np.nan
    return float(covered.mean()), float(told_apart)


def on_returns(episodes: int) -> Callable[[Any, str, dict[str, Any], bool], Measures]:
    """The mean greedy return."""
    return lambda agent, environment_id, options, end: {"return": greedy(agent, environment_id, episodes, **options)}


@dataclasses.dataclass(frozen=True)
class Study:
    module: ModuleType
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: dict[str, dict[str, Any]]  # what each changes in the configuration of the task
    measure: Callable[[Any, str, dict[str, Any], bool], Measures]
    measurements: int  # how often, in the course of a run
    seconds: float  # about how long a run takes
    more_seeds: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)  # of some variants
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the environments
    base: dict[str, Any] = dataclasses.field(default_factory=dict)  # what all variants change in the configuration of the task


def one_policy(weight: float, discount: float, **more: Any) -> dict[str, Any]:
    return {"policies": 1, "family_weights": (weight,), "family_discounts": (discount,), "cross_mixture": 0.0} | more


FIRST_FIVE, FIRST_TEN = (tuple(range(1, count + 1)) for count in (5, 10))
SUITE = {
    "Agent57": {},
    "NGU": {"heads": "shared", "controller": "uniform"},
    "shared heads": {"heads": "shared"},
    "uniform controller": {"controller": "uniform"},
    "R2D2 (bandit)": {"novelty": "none"},
    "no episodic memory": {"novelty": "life-long"},
    "no life-long novelty": {"novelty": "episodic"},
    **{f"R2D2, γ = {discount}": one_policy(0.0, discount, heads="shared", novelty="none") for discount in (0.75, 0.9, 0.97, 0.997, 0.999)},
    **{f"policy (1, {discount}) alone": one_policy(1.0, discount) for discount in (0.75, 0.999)},
}
MINUTE = {  # chosen on single tasks with seeds 1 to 5, 601, 602, 606 and 607
    "env_count": 192, "learning_starts": 7_500, "steps_per_update": 150, "sequence_length": 26, "sequence_period": 13, "burn_in": 0,
    "batch_size": 40, "final_learning_rate": 1e-4, "target_period": 3, "trace_lambda": 0.9, "bandit_window": 600,
}  # fmt: skip
COIN = {
    f"{heads} heads, β = {weight}": {"heads": heads, "controller": "uniform", "policies": 2, "family_weights": (0.0, float(weight))}
    for heads in ("split", "shared")
    for weight in (0.3, 1, 10)
}
ONE, FAMILY, RAW = {"policies": 1}, {"policies": 4, "cross_mixture": 0.25}, {"life_long_input": "raw"}
MAZE = {
    "NGU": ONE,
    "NGU without life-long novelty": ONE | {"novelty": "episodic"},
    "life-long novelty alone": ONE | {"novelty": "life-long"},
    "random embedding": ONE | {"embedding": "random"},
    "no novelty": ONE | {"novelty": "none"},
    "NGU, N = 4": FAMILY,
    "NGU, N = 4, without life-long novelty": FAMILY | {"novelty": "episodic"},
    "NGU, raw": ONE | RAW,
    "life-long novelty alone, raw": ONE | RAW | {"novelty": "life-long"},
    "random embedding, raw": ONE | RAW | {"embedding": "random"},
    "random embedding, without life-long novelty": ONE | {"embedding": "random", "novelty": "episodic"},
    "NGU, N = 4, raw": FAMILY | RAW,
}
GOAL = {
    "NGU": {},
    "NGU without life-long novelty": {"novelty": "episodic"},
    "life-long novelty alone": {"novelty": "life-long"},
    "random embedding": {"embedding": "random"},
    "ε-greedy": {"novelty": "none", "policies": 1, "cross_mixture": 0.0},
}
HALVED = {
    "env_count": 8, "rollout_length": 128, "max_kl": 0.03, "damping": 0.5, "value_learning_rate": 1e-3, "value_epochs": 10,
    "value_batch_size": 128,
}  # fmt: skip
BIG = {"steps": 200_000, "flat_images": False, "memory_capacity": 256, "batch_size": 16, "steps_per_update": 512}

TASKS = tuple(f"npfl139/{task}-v0" for task in agent57.SUITE)
STUDIES = {
    "suite": Study(agent57, TASKS, FIRST_FIVE, SUITE, on_suite, 14, 15, {"Agent57": FIRST_TEN}),
    "minute": Study(agent57, TASKS, (603, 604, 608, 609), {"Agent57": {}}, on_suite, 14, 10, base=MINUTE),
    "coin": Study(agent57, ("npfl139/RandomCoin-v0",), FIRST_FIVE, COIN, on_suite, 7, 15, base={"family_discounts": (0.9, 0.9)}),
    "maze": Study(ngu, ("npfl139/SmallDiscoMaze-v0",), tuple(range(501, 511)), MAZE, on_maze, 12, 9),
    "mazes": Study(ngu, ("npfl139/DiscoMaze-v0",), FIRST_FIVE, {name: MAZE[name] for name in MAZE if "raw" in name or "N =" not in name},
                   on_maze, 6, 12, options={"size": 7, "new_maze": True, "steps": 40},
                   base={"steps": 60_000, "sequence_length": 20, "sequence_period": 10, "target_period": 5}),
    "goal": Study(ngu, ("npfl139/DiscoGoal-v0",), FIRST_TEN, GOAL, on_maze, 12, 14),
    "bigmaze": Study(ngu, ("npfl139/DiscoMaze-v0",), (1,), {"NGU": {}}, on_maze, 4, 250,
                     options={"size": 21, "new_maze": True, "steps": 200}, base=BIG),
    "hopper": Study(trpo, ("Hopper-v5",), tuple(range(201, 211)), {"default": {}, "half the batch": HALVED}, on_returns(10), 10, 60),
    "swimmer": Study(trpo, ("Swimmer-v5",), tuple(range(201, 206)), {"default": {}}, on_returns(10), 10, 60),
    "settles": Study(r2d2, ("npfl139/MaskedCartPole-v0", "npfl139/CueRecall-v0", "npfl139/TwoRooms-v0"), tuple(range(301, 311)),
                     {"R2D2": {}}, on_returns(100), 25, 20),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Run:
    study: str
    variant: str
    task: str
    seed: int
    settings: dict[str, Any]  # beyond the study's

    @property
    def key(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


class Watch:
    """A monitor that measures the agent at equal distances, and counts the CPU seconds in between."""

    def __init__(self, interval: int, measure: Callable[[Any], Measures]):
        self.interval, self.measure, self.points, self.returns = interval, measure, [], []
        self.spent, self.started = 0.0, time.process_time()

    def watch(self, agent: Any, memory: Any = None) -> int:
        self.agent = agent
        return 0

    @property
    def seconds(self) -> float:
        return time.process_time() - self.started - self.spent

    def log(self, steps: int, **scalars: float) -> None:
        if "episode_return" in scalars:
            self.returns.append((steps, float(scalars["episode_return"])))
        elif steps >= self.interval * (len(self.points) + 1):
            seconds, begun = self.seconds, time.process_time()
            self.points.append({"steps": steps, "seconds": round(seconds, 2)} | self.measure(self.agent))
            self.spent += time.process_time() - begun


def made(run: Run) -> Measures:
    """Return the results of a run."""
    study = STUDIES[run.study]
    changes = study.base | study.variants[run.variant] | run.settings
    config = dataclasses.replace(config_for(study.module, run.task), seed=run.seed, **changes)
    environments = envs.make(run.task, config.env_count, run.seed, **study.options)
    watch = Watch(config.steps // study.measurements, lambda agent: study.measure(agent, run.task, study.options, False))
    agent = study.module.train(envs.Tracked(environments, watch), config, watch)
    seconds = watch.seconds
    late = [value for steps, value in watch.returns if steps > 0.8 * config.steps]
    return dataclasses.asdict(run) | {
        "steps": config.steps,
        "seconds": round(seconds, 2),
        "training_return": float(np.mean(late)) if late else None,  # in the last fifth
        "end": study.measure(agent, run.task, study.options, True),
        "points": watch.points,
    }


def prepare() -> None:
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # the first one imports for seconds


def runs_of(name: str, options: argparse.Namespace) -> Iterable[Run]:
    study = STUDIES[name]
    for variant in study.variants:
        for task in study.tasks:
            if (options.variants and variant not in options.variants) or (
                options.tasks and not any(part in task for part in options.tasks)
            ):
                continue
            for seed in options.seeds or study.more_seeds.get(variant, study.seeds):
                yield from (Run(name, variant, task, seed, dict(settings)) for settings in options.set or [[]])


def setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", choices=STUDIES, help="made one after the other")
    parser.add_argument("--out", type=Path, default=Path("runs/studies.jsonl"), help="the file of the lines")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time, each on one core")
    parser.add_argument("--variants", nargs="+", default=[], help="only these")
    parser.add_argument("--tasks", nargs="+", default=[], help="only those that have one of these words in their name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="in place of the study's")
    parser.add_argument(
        "--set", type=setting, nargs="*", action="append", metavar="FIELD=VALUE", help="change the configuration; given again, do both"
    )
    options = parser.parse_args()

    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.touch()
    lines = [json.loads(line) for line in options.out.read_text().splitlines()]
    fields = [field.name for field in dataclasses.fields(Run)]
    known = {json.dumps({name: line[name] for name in fields}, sort_keys=True) for line in lines}
    runs = [run for name in options.studies for run in runs_of(name, options) if run.key not in known]
    print(f"{len(runs)} runs, about {sum(STUDIES[run.study].seconds for run in runs):.0f} s of CPU", flush=True)
    pool = ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn"), prepare)
    with options.out.open("a") as file, pool:
        futures = {pool.submit(made, run): run for run in runs}
        for future in as_completed(futures):
            run = futures[future]
            if future.exception():
                print(f"{run.key} failed: {future.exception()!r}", flush=True)
                continue
            line = future.result()
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            shown = {name: value for name, value in line["end"].items() if name not in ("pulls", "means")}
            print(run.study, run.variant, run.task, run.seed, f"{line['seconds']:.1f} s", shown, flush=True)


if __name__ == "__main__":
    main()
