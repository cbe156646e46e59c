"""The learner's side: it asks its actors for chunks of steps, gives them its newest weights, replaces those that are lost."""

import dataclasses
import types
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from npfl139 import envs
from npfl139.checkpoints import RunError
from npfl139.config import Config
from npfl139.distributed.work import Delivery, Job, Published
from npfl139.monitor import Monitor
from npfl139.recurrent.actors import Experience

__all__ = ["Engine", "Team"]

NEEDED = ("explorers", "weights", "load_weights", "news", "hear")  # of an agent whose actors can be elsewhere
CHUNK = 20  # steps that an actor makes for a delivery
PATIENCE = 5  # so many losses in a row, without a delivery in between, are no accident
SECONDS_PER_REPORT = 2.0


class Engine(Protocol):
    """Runs `work.Worker` in processes, each of which has a number."""

    def start(self, number: int, job: Job) -> None:
        """Start a process, in the place of one that had the number before."""

    def publish(self, published: Published) -> Any:
        """Return what `ask` takes: weights at a place from which all processes get them."""

    def ask(self, number: int, published: Any, steps: int) -> None:
        """Ask a process for a delivery."""

    def wait(self) -> tuple[int, Delivery | None]:
        """Return the number of a process that has answered, and its delivery; None if the process is gone.

        Raises:
            RunError: the engine itself is gone, or a process has failed in a way that would happen again.
        """

    def close(self) -> None:
        """End all processes."""


class Team:
    """Stands for the environments of a training whose actors are elsewhere: `npfl139.recurrent.actors.experiences` asks it for theirs."""

    monitor: Monitor | None = None

    def __init__(self, count: int, module: types.ModuleType, environment_id: str, config: Config, engine: Callable[[], Engine]):
        """Prepare `count` actors, among which the rows of environments are divided.

        Args:
            count, module, environment_id, config: of what is trained, and by how many.
            engine: starts what runs them. It is called once all else is known to make sense.

        Raises:
            ValueError: there are more actors than rows, no such environment, or the agent cannot be distributed; and what `engine` raises.
        """
        if not 1 <= count <= config.env_count:
            raise ValueError(f"there can be 1 to {config.env_count} actors, each with one environment or more, got {count}")
        self.count, self.module, self.environment_id, self.config = count, module, environment_id, config
        alone = envs.make(environment_id, 1, config.seed)
        self.single_observation_space, self.single_action_space = alone.single_observation_space, alone.single_action_space
        alone.close()
        agent = module.make_agent(self.single_observation_space, self.single_action_space, config)
        missing = [method for method in NEEDED if not hasattr(agent, method)]
        if missing:
            raise ValueError(f"this agent's actors cannot be elsewhere, since it has no {missing[0]}: train it without --engine")
        self.engine = engine()

    def experiences(self, agent: Any, epsilon: np.ndarray, steps: int, abandon: Callable[[np.ndarray], None]) -> "Deliveries":
        """Return what the actors will deliver."""
        return Deliveries(self, agent, epsilon, steps, abandon)

    def close(self) -> None:
        """End all processes."""
        self.engine.close()


class Deliveries:
    """What the actors of a team deliver, chunk by chunk; the log gets episodes, throughput, how stale the weights were, and losses."""

    def __init__(self, team: Team, agent: Any, epsilon: np.ndarray, steps: int, abandon: Callable[[np.ndarray], None]):
        self.team, self.agent, self.epsilon, self.steps, self.abandon = team, agent, epsilon, steps, abandon
        self.rows = np.array_split(np.arange(len(epsilon)), team.count)
        self.started = steps
        self.chunk = min(CHUNK, getattr(team.config, "sequence_period", CHUNK))  # what a lost actor loses is less than a sequence
        self.replaced = 0
        self.episode_return, self.episode_length = np.zeros(len(epsilon)), np.zeros(len(epsilon), np.int64)

    def __iter__(self) -> Iterator[tuple[np.ndarray, Experience]]:
        engine, losses = self.team.engine, 0
        self._publish()
        for number in range(self.team.count):
            self._start(number)
        report: _Report | None = None
        while True:
            number, delivery = engine.wait()
            report = report or _Report(self.steps, self.agent.updates)  # what the start took does not count
            if delivery is None:
                losses += 1
                if losses >= PATIENCE:
                    raise RunError(f"{losses} actors died one after the other: this machine may have too little memory for so many")
                self._replace(number)
                continue
            losses, rows = 0, self.rows[number]
            self.agent.hear(delivery.news)
            if delivery.news or self.agent.updates != self.published_updates:
                self._publish()
            engine.ask(number, self.published, self.chunk)  # it acts while this process learns
            report.staleness.append(self.agent.updates - delivery.updates)
            for experience in delivery.experiences:
                if self.steps + len(rows) > self.team.config.steps:
                    return
                self.steps += len(rows)
                self._count(rows, experience)
                yield rows, experience
            self._log(**report.after(self.steps, self.agent.updates))

    def _publish(self) -> None:
        self.published_updates = self.agent.updates
        self.published = self.team.engine.publish(Published(self.agent.updates, self.agent.weights()))

    def _start(self, number: int) -> None:
        rows, team = self.rows[number], self.team
        job = Job.of(
            team.module,
            environment_id=team.environment_id,
            config={field.name: getattr(team.config, field.name) for field in dataclasses.fields(team.config)},
            epsilon=self.epsilon[rows],
            first_row=int(rows[0]),
            attempt=self.started + self.replaced,
        )
        team.engine.start(number, job)
        team.engine.ask(number, self.published, self.chunk)

    def _replace(self, number: int) -> None:
        rows = self.rows[number]
        self.abandon(rows)
        self.episode_return[rows], self.episode_length[rows] = 0, 0
        self.replaced += 1
        self._log(actors_replaced=self.replaced)
        self._start(number)

    def _count(self, rows: np.ndarray, experience: Experience) -> None:
        self.episode_return[rows] += experience.row["reward"]
        self.episode_length[rows] += 1
        over = rows[experience.ended]
        if len(over):
            self._log(episode_return=self.episode_return[over].mean(), episode_length=self.episode_length[over].mean())
            self.episode_return[over], self.episode_length[over] = 0, 0

    def _log(self, **scalars: float) -> None:
        if scalars and self.team.monitor is not None:
            self.team.monitor.log(self.steps, **scalars)


class _Report:
    """Measures throughput between two reports."""

    def __init__(self, steps: int, updates: int):
        self.moment, self.steps, self.updates = perf_counter(), steps, updates
        self.staleness: list[int] = []  # updates that the learner had made since the weights of each delivery

    def after(self, steps: int, updates: int) -> dict[str, float]:
        """Return a report, or nothing if it is too soon."""
        now = perf_counter()
        seconds = now - self.moment
        if seconds < SECONDS_PER_REPORT:
            return {}
        report = {
            "steps_per_second": (steps - self.steps) / seconds,
            "updates_per_second": (updates - self.updates) / seconds,
            "staleness": sum(self.staleness) / len(self.staleness),
        }
        self.moment, self.steps, self.updates, self.staleness = now, steps, updates, []
        return report
