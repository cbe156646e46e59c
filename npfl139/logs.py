"""The files of a run's log: CSV and TensorBoard events, appended so that a full disk loses nothing; and the curves drawn from it."""

import csv
import os
import socket
import time
import types
from pathlib import Path

import torch

__all__ = ["AppendedFile", "EventFile", "cut_log", "plot_curves", "read_log"]


class AppendedFile:
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


class EventFile:
    """Scalars in TensorBoard's record format, written by this process itself: no thread whose errors nobody sees."""

    def __init__(self, directory: Path):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        self.file = AppendedFile(directory / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}")
        self._records = RecordWriter(types.SimpleNamespace(write=self.file.append))
        self._records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())

    def restart(self, steps: int) -> None:
        """Tell TensorBoard to forget what earlier files of the directory say of the time after that many environment steps."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        start = SessionLog(status=SessionLog.START)
        self._records.write(self._event(wall_time=time.time(), step=steps + 1, session_log=start).SerializeToString())

    def append(self, steps: int, name: str, value: float) -> None:
        summary = self._summary(value=[self._summary.Value(tag=name, simple_value=value)])
        self._records.write(self._event(wall_time=time.time(), step=steps, summary=summary).SerializeToString())


def read_log(path: str | Path) -> dict[str, list[list[float]]]:
    """Return what a run's log.csv holds: name -> [[steps, value], ...]."""
    scalars: dict[str, list[list[float]]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scalars.setdefault(row["name"], []).append([int(row["steps"]), float(row["value"])])
    return scalars


def cut_log(path: str | Path, steps: int) -> None:
    """Remove from a run's log.csv what is later than that many environment steps, from the first broken line on if there is one."""
    with open(path, "r+b") as file:
        length = len(file.readline())
        for line in file:
            step = line.partition(b",")[0]
            if not line.endswith(b"\n") or not step.isdigit() or int(step) > steps:
                break
            length += len(line)
        file.truncate(length)


def plot_curves(scalars: dict[str, list[list[float]]], path: str | Path) -> None:
    """Draw every scalar over environment steps, with its mean over a fiftieth of the points, into an image file."""
    from matplotlib.figure import Figure

    names = sorted(scalars, key=lambda name: (not name.startswith("episode"), name))
    columns = min(3, max(1, len(names)))
    rows = -(-len(names) // columns) or 1
    width, height = 4 * columns, 2.6 * rows  # in inches, as are the margins
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(0.7 / width, 0.5 / height, 1 - 0.15 / width, 1 - 0.35 / height, wspace=0.3, hspace=0.6)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        steps, values = torch.tensor(scalars[name], dtype=torch.float64).T
        window = max(1, len(values) // 50)
        axes.plot(steps, values, color="tab:blue", alpha=0.25, linewidth=0.8)
        axes.plot(steps[window - 1 :], values.unfold(0, window, 1).mean(1), color="tab:blue")
        axes.set(title=name.replace("_", " "), xlabel="environment steps")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
