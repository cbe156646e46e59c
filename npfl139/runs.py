"""A training run: what it logs, its checkpoints, its curves, and the command line of a solution run as a script."""

import argparse
import csv
import dataclasses
import json
import os
import re
import socket
import sys
import tempfile
import time
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import safetensors
import safetensors.torch
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from npfl139 import envs
from npfl139.config import Config, add_arguments, overridden
from npfl139.evaluation import evaluate
from npfl139.seeding import derived_seed

__all__ = [
    "MemoryMonitor", "Monitor", "RunError", "RunMonitor", "config_for", "load_agent", "load_checkpoint", "main", "plot_curves", "read_log",
    "read_metadata", "run", "save_checkpoint",
]  # fmt: skip

CHECKPOINT, MEMORY, LOG, CURVES = "agent.safetensors", "memory", "log.csv", "curves.png"


class RunError(Exception):
    """A run cannot be started, stored or restored; the message says why and what to do."""


class Monitor(Protocol):
    """What `train` tells about its progress."""

    def watch(self, agent: object, memory: object | None = None) -> int:
        """Take charge of the agent's checkpoints; return how many environment steps it has already made (0 unless resumed).

        A `memory` is what a resumed run also needs and a trained agent does not, such as a replay: it is stored beside each checkpoint by `memory.save(directory)`,
        and restored by `memory.load(directory)`, which may raise OSError or ValueError.
        """

    def log(self, steps: int, **scalars: float) -> None:
        """Record scalars after that many environment steps."""


class MemoryMonitor:
    """Keeps what was logged in `scalars`: name -> [[steps, value], ...], at most `limit` points per name, evenly thinned."""

    def __init__(self, limit: int = 2000):
        self.limit, self.scalars = limit, {}
        self._strides, self._counts = {}, {}

    def watch(self, agent: object, memory: object | None = None) -> int:
        return 0

    def log(self, steps: int, **scalars: float) -> None:
        for name, value in scalars.items():
            points = self.scalars.setdefault(name, [])
            stride, count = self._strides.setdefault(name, 1), self._counts.get(name, 0)
            self._counts[name] = count + 1
            if count % stride == 0:
                points.append([int(steps), float(value)])
            if len(points) >= self.limit:
                del points[1::2]
                self._strides[name] = 2 * stride


class RunMonitor(MemoryMonitor):
    """Writes a run into a directory: log.csv, TensorBoard events, agent.safetensors; shows progress on the terminal.

    Nothing is lost when the disk fills up: rows wait in memory until they can be written, a checkpoint replaces the last one only
    when it is complete, and what cannot be written at the end goes to a temporary directory, whose name is printed.
    """

    def __init__(self, directory: str | Path, total_steps: int, metadata: dict[str, str] | None = None, resume: bool = False,
                 checkpoint_seconds: float = 60.0, console: Console | None = None):  # fmt: skip
        """Open the directory.

        Args:
            directory: made if needed; it must not hold a run already, unless that one is resumed.
            total_steps: environment steps of the whole run, for the progress display.
            metadata: strings stored in the checkpoints.
            resume: continue from the directory's checkpoint, if there is one.
            checkpoint_seconds: at least this long between two checkpoints.
            console: where progress goes; by default the standard error stream.

        Raises:
            RunError: the directory cannot be written, holds another run, or its checkpoint is damaged.
        """
        super().__init__()
        self.directory, self.metadata, self.checkpoint_seconds = Path(directory), metadata or {}, checkpoint_seconds
        self.console = console or Console(stderr=True)
        self.agent, self.memory, self.steps, self.problem = None, None, 0, None
        if (self.directory / CHECKPOINT).exists():
            if not resume:
                raise RunError(f"{self.directory} already holds a run: resume it, or choose another directory")
            self.steps = int(read_metadata(self.directory / CHECKPOINT)["steps"])
        self.start_steps = self.steps
        self._csv, self._events = _AppendedFile(self.directory / LOG), _EventFile(self.directory)
        self._flushed = self._checkpointed = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn(),
            console=self.console, auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("training", total=total_steps, completed=self.steps, note="")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._csv.open(b"steps,name,value\n")
            self._events.file.open(b"")
        except OSError as error:
            raise RunError(f"cannot write to {self.directory}: {error.strerror}") from error

    def __enter__(self) -> "RunMonitor":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
        self.close()

    def watch(self, agent: object, memory: object | None = None) -> int:
        self.agent, self.memory = agent, memory
        if self.start_steps:
            load_checkpoint(self.directory / CHECKPOINT, agent)
            if memory is not None:
                try:
                    memory.load(self.directory / MEMORY)
                except (OSError, ValueError) as error:
                    raise RunError(f"the memory of the run in {self.directory} cannot be restored: {error}") from error
        return self.start_steps

    def log(self, steps: int, **scalars: float) -> None:
        super().log(steps, **scalars)
        self.steps = max(self.steps, int(steps))
        for name, value in scalars.items():
            self._csv.append(f"{int(steps)},{name},{float(value):.7g}\n".encode())
            self._events.append(int(steps), name, float(value))
        now = time.monotonic()
        if now - self._flushed > 0.5:
            self._flushed = now
            self.flush()
            returns = self.scalars.get("episode_return", [])[-20:]
            note = f"return {sum(value for _, value in returns) / len(returns):.1f}" if returns else ""
            self._progress.update(self._task, completed=self.steps, note=note)
            self._progress.refresh()
        if now - self._checkpointed > self.checkpoint_seconds:
            self._checkpointed = now
            self._tried(self.checkpoint)

    def flush(self) -> None:
        """Write what was logged since the last time; if that fails, keep it for the next time."""
        self._tried(self._write_logs)

    def checkpoint(self) -> None:
        """Store the watched agent and its memory."""
        if self.memory is not None:
            self.memory.save(self.directory / MEMORY)
        if self.agent is not None:
            save_checkpoint(self.directory / CHECKPOINT, self.agent, {**self.metadata, "steps": str(self.steps)})

    def close(self) -> None:
        """Write everything; what cannot be written goes to a temporary directory, and a message says where.

        Raises:
            RunError: it cannot be written there either.
        """
        self.problem = None
        self._tried(self._write_logs)
        self._tried(self.checkpoint)
        if self.problem is None:
            return
        failed, self.directory = self.directory, Path(tempfile.mkdtemp(prefix="npfl139-"))
        self._csv.path, self._events.file.path = self.directory / LOG, self.directory / self._events.file.path.name
        try:
            self._csv.open(b"steps,name,value\n")
            self._events.file.open(b"")
            self._write_logs()
            self.checkpoint()
        except OSError as error:
            raise RunError(f"the run is lost: cannot write to {failed} ({self.problem}), nor to {self.directory} ({error.strerror})") from error
        self.console.print(f"What could not be written to {failed} is in {self.directory}.")

    def _write_logs(self) -> None:
        self._csv.flush()
        self._events.file.flush()

    def _tried(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            if self.problem is None:
                self.console.print(f"Cannot write to {self.directory}: {error.strerror}. Training goes on; it will be tried again.")
            self.problem = error.strerror


class _AppendedFile:
    """A file that grows; a write that failed half-way is undone by the next one."""

    def __init__(self, path: Path):
        self.path, self.length, self.pending = path, 0, bytearray()

    def open(self, head: bytes) -> None:
        with open(self.path, "ab") as file:
            self.length = file.tell()
        if not self.length:
            self.pending[:0] = head
        self.flush()

    def append(self, content: bytes) -> None:
        self.pending += content

    def flush(self) -> None:
        if self.pending:
            with open(self.path, "r+b") as file:
                file.truncate(self.length)
                file.seek(self.length)
                file.write(self.pending)
            self.length += len(self.pending)
            self.pending.clear()


class _EventFile:
    """Scalars in TensorBoard's record format, written by this process itself: no thread whose errors nobody sees."""

    def __init__(self, directory: Path):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        self.file = _AppendedFile(directory / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}")
        self._records = RecordWriter(types.SimpleNamespace(write=self.file.append))
        self._records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())

    def append(self, steps: int, name: str, value: float) -> None:
        summary = self._summary(value=[self._summary.Value(tag=name, simple_value=value)])
        self._records.write(self._event(wall_time=time.time(), step=steps, summary=summary).SerializeToString())


def save_checkpoint(path: str | Path, agent: object, metadata: dict[str, str]) -> None:
    """Store an agent's tensors, the state of its optimizers and some strings; the file appears only once it is complete.

    The agent's `state_dict()` is a flat dictionary of tensors; its optimizers are its attributes that are torch optimizers.

    Raises:
        OSError: the file cannot be written; an earlier one is left as it was.
    """
    tensors = {f"agent/{name}": tensor for name, tensor in agent.state_dict().items()}
    for name, optimizer in _optimizers(agent).items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    content = safetensors.torch.save({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, metadata)
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: str | Path, agent: object) -> dict[str, str]:
    """Load a checkpoint into an agent made with the same configuration; return the strings stored with it.

    Raises:
        RunError: there is no such file, it is damaged, or it belongs to an agent of another shape.
    """
    metadata = read_metadata(path)
    tensors = safetensors.torch.load_file(path)
    try:
        agent.load_state_dict({name.removeprefix("agent/"): tensor for name, tensor in tensors.items() if name.startswith("agent/")})
        for name, optimizer in _optimizers(agent).items():
            state = {}
            for key, tensor in tensors.items():
                if key.startswith(f"optimizer/{name}/"):
                    index, field = key.removeprefix(f"optimizer/{name}/").split("/")
                    state.setdefault(int(index), {})[field] = tensor
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    except (RuntimeError, ValueError, KeyError) as error:
        raise RunError(f"{path} belongs to an agent of another configuration: {error}") from error
    return metadata


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the strings stored in a checkpoint.

    Raises:
        RunError: there is no such file, or it is damaged.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except FileNotFoundError:
        raise RunError(f"there is no checkpoint {path}") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path} is not a checkpoint, or is damaged: {error}") from error


def load_agent(module: types.ModuleType, path: str | Path) -> tuple[object, str]:
    """Return the agent of a run's checkpoint, made by the module's `make_agent`, and its environment's id.

    Raises:
        RunError: as `load_checkpoint`.
    """
    metadata = read_metadata(path)
    try:
        environment_id = metadata["environment"]
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(metadata["config"]).items()}
        config = _config_type(module.train)(**{**fields, "device": "auto"})
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} was not made by a run of this agent: {error}") from error
    environments = envs.make(environment_id, 1, config.seed)
    agent = module.make_agent(environments.single_observation_space, environments.single_action_space, config)
    environments.close()
    load_checkpoint(path, agent)
    return agent, environment_id


def read_log(path: str | Path) -> dict[str, list[list[float]]]:
    """Return what a run's log.csv holds: name -> [[steps, value], ...]."""
    scalars = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scalars.setdefault(row["name"], []).append([int(row["steps"]), float(row["value"])])
    return scalars


def plot_curves(scalars: dict[str, list[list[float]]], path: str | Path) -> None:
    """Draw every scalar over environment steps, with its mean over a fiftieth of the points, into an image file."""
    from matplotlib.figure import Figure

    names = sorted(scalars, key=lambda name: (not name.startswith("episode"), name))
    columns = min(3, max(1, len(names)))
    rows = -(-len(names) // columns) or 1
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    for axes, name in zip(figure.subplots(rows, columns, squeeze=False).flat, names, strict=False):
        steps, values = torch.tensor(scalars[name], dtype=torch.float64).T
        width = max(1, len(values) // 50)
        axes.plot(steps, values, color="tab:blue", alpha=0.25, linewidth=0.8)
        axes.plot(steps[width - 1 :], values.unfold(0, width, 1).mean(1), color="tab:blue")
        axes.set(title=name.replace("_", " "), xlabel="environment steps")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def config_for(module: types.ModuleType, name: str) -> Config:
    """Return the module's configuration of that name or environment id, or the default one for an environment without its own."""
    return getattr(module, "CONFIGS", {}).get(name) or _config_type(module.train)()


def run(module: types.ModuleType, environment_id: str, config: Config, out_dir: str | Path, resume: bool = False) -> object:
    """Train the module's agent; return it. The directory gets log.csv, TensorBoard events, agent.safetensors and curves.png.

    Raises:
        ValueError: there is no such environment, or the agent cannot handle its spaces.
        RunError: the directory cannot be written, holds another run, or its checkpoint is damaged.
    """
    metadata = {"environment": environment_id, "config": json.dumps(dataclasses.asdict(config))}
    environments = envs.make(environment_id, config.env_count, config.seed)
    monitor = RunMonitor(out_dir, config.steps, metadata, resume)
    if monitor.start_steps:  # other episodes than those already seen
        environments.reset(seed=derived_seed(config.seed, "resumed", monitor.start_steps) >> 32)
    with monitor:
        agent = module.train(envs.Tracked(environments, monitor, monitor.start_steps), config, monitor)
        monitor.steps = max(monitor.steps, config.steps)
    environments.close()
    plot_curves(read_log(monitor.directory / LOG), monitor.directory / CURVES)
    return agent


def main(train: Callable, arguments: Sequence[str] | None = None) -> object:
    """Train from the command line, with options derived from the type of `train`'s config; print the evaluation, return the agent.

    Exits with status 2 and one sentence when something is wrong with what was asked for.
    """
    module = sys.modules[train.__module__]
    presets = getattr(module, "CONFIGS", {})
    parser = argparse.ArgumentParser(description=(module.__doc__ or "Train an agent.").strip().splitlines()[0])
    parser.add_argument("--env", default=next(iter(presets), "CartPole-v1"), help="environment id [default: %(default)s]")
    parser.add_argument("--config", choices=list(presets), help="configuration to start from [default: the environment's own]")
    parser.add_argument("--out", type=Path, help="directory of the logs and the checkpoint [default: runs/...]")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--episodes", type=int, default=20, help="episodes of the final evaluation [default: %(default)s]")
    add_arguments(parser, _config_type(train))
    options = parser.parse_args(arguments)
    try:
        config = overridden(config_for(module, options.config or options.env), options)
        out = options.out or Path("runs") / f"{re.sub('[^A-Za-z0-9]+', '-', options.env)}-{config.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
        agent = run(module, options.env, config, out, options.resume)
    except (ValueError, ImportError, RunError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"\n{parser.prog}: interrupted; go on with --out {out} --resume\n")
    environments = envs.make(options.env, min(options.episodes, 20), derived_seed(config.seed, "evaluation"))
    returns = evaluate(agent.act, environments, options.episodes)
    print(f"{options.env}: mean return {returns.mean():.1f} ± {returns.std():.1f} over {len(returns)} greedy episodes; see {out}")
    return agent


def _config_type(train: Callable) -> type[Config]:
    return typing.get_type_hints(train)["config"]


def _optimizers(agent: object) -> dict[str, torch.optim.Optimizer]:
    return {name: value for name, value in vars(agent).items() if isinstance(value, torch.optim.Optimizer)}
