"""What a training tells about its progress, and where that goes: into memory, or into a directory and onto the terminal."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from npfl139.checkpoints import RunError, load_checkpoint, read_metadata, save_checkpoint
from npfl139.logs import AppendedFile, EventFile, cut_log
from npfl139.progress import display

__all__ = ["CHECKPOINT", "LOG", "MemoryMonitor", "Monitor", "RunMonitor"]

CHECKPOINT, MEMORY, LOG = "agent.safetensors", "memory", "log.csv"  # in the directory of a run


class Monitor(Protocol):
    """What `train` tells about its progress."""

    def watch(self, agent: Any, memory: Any = None) -> int:
        """Take charge of the agent's checkpoints; return how many environment steps it has already made (0 unless resumed).

        A `memory` is what a resumed run also needs and a trained agent does not, such as a replay: it is stored beside each
        checkpoint by `memory.save(directory)`, and restored by `memory.load(directory)`, which may raise OSError or ValueError.
        """

    def log(self, steps: int, **scalars: float) -> None:
        """Record scalars after that many environment steps."""


class MemoryMonitor:
    """Keeps what was logged in `scalars`: name -> [[steps, value], ...], at most `limit` points per name, evenly thinned."""

    def __init__(self, limit: int = 2000):
        self.limit = limit
        self.scalars: dict[str, list[list[float]]] = {}
        self._strides: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def watch(self, agent: Any, memory: Any = None) -> int:
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
        self.agent: Any = None
        self.memory: Any = None
        self.problem: str | None = None
        self.steps = 0
        if (self.directory / CHECKPOINT).exists():
            if not resume:
                raise RunError(f"{self.directory} already holds a run: resume it, or choose another directory")
            self.steps = int(read_metadata(self.directory / CHECKPOINT)["steps"])
        self.start_steps = self.steps
        self._csv, self._events = AppendedFile(self.directory / LOG), EventFile(self.directory)
        self._flushed = self._checkpointed = time.monotonic()
        self._display = display(self.console, total_steps, self.steps)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self.start_steps:  # the curve goes on where the agent does, not where the killed run wrote last
                if (self.directory / LOG).exists():
                    cut_log(self.directory / LOG, self.start_steps)
                self._events.restart(self.start_steps)
            self._csv.open(b"steps,name,value\n")
            self._events.file.open(b"")
        except OSError as error:
            raise RunError(f"cannot write to {self.directory}: {error.strerror}") from error

    def __enter__(self) -> "RunMonitor":
        self._display.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._display.stop(self.steps, self.scalars)
        self.close()

    def watch(self, agent: Any, memory: Any = None) -> int:
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
            self._display.update(self.steps, self.scalars)
        if now - self._checkpointed > self.checkpoint_seconds:
            self._checkpointed = now
            self.flush()  # a checkpoint never knows of more than the log
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
            places = f"{failed} ({self.problem}), nor to {self.directory} ({error.strerror})"
            raise RunError(f"the run is lost: cannot write to {places}") from error
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
