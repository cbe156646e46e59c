"""Runs compared: seeds of one configuration become a mean and an interval."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npfl139 import command
from npfl139.catalogue import Assignment, assignments, topic_of
from npfl139.checkpoints import RunError, read_metadata
from npfl139.logs import read_log
from npfl139.monitor import CHECKPOINT, LOG
from npfl139.terminal import suggested

__all__ = ["Band", "bands", "draw", "recorded", "reference_elsewhere", "references"]

POINTS = 100  # of a curve
RESAMPLES = 2000


class Band(NamedTuple):
    """The curve of one configuration."""

    label: str
    steps: np.ndarray  # [P] environment steps
    mean: np.ndarray  # [P] over seeds
    low: np.ndarray  # [P] the ends of the 95 % interval of the mean, from resampled seeds; of one seed the mean itself
    high: np.ndarray
    runs: int


class Run(NamedTuple):
    """One run, read from its folder."""

    path: Path
    environment: str
    config: dict[str, Any]  # without the seed
    points: np.ndarray  # [N, 2] environment steps, value


def bands(folders: Sequence[Path], scalar: str) -> list[Band]:
    """Return one band for each configuration, in the order in which the runs were named.

    Raises:
        RunError: a folder holds no run, or a run has not logged that.
    """
    groups: dict[str, list[Run]] = {}
    for run in (_read(folder, scalar) for folder in folders):
        groups.setdefault(json.dumps([run.environment, run.config], sort_keys=True), []).append(run)
    first = [runs[0] for runs in groups.values()]
    return [_band(_label(runs, first), [run.points for run in runs]) for runs in groups.values()]


def references(run: Path) -> list[Band]:
    """Return the curves of the reference's seeds in the environment of a run, of its topic if the name of its agent tells that.

    Raises:
        RunError: the folder holds no run.
    """
    metadata, known = read_metadata(run / CHECKPOINT), assignments()
    topic, _ = topic_of(metadata.get("agent", ""), known)
    items = (item for name, item in known.items() if topic in (None, name) and item.checkpoint.exists())
    found = (_shipped(item, metadata.get("environment", "")) for item in items)
    return [band for band in found if band is not None]


def reference_elsewhere(run: Path) -> str:
    """Return a sentence that says how to compare a run with the reference where that was trained in another environment; else nothing.

    Raises:
        RunError: the folder holds no run.
    """
    metadata, known = read_metadata(run / CHECKPOINT), assignments()
    agent = metadata.get("agent", "")
    topic, _ = topic_of(agent, known)
    if topic is None or not known[topic].checkpoint.exists():
        return ""
    environment = read_metadata(known[topic].checkpoint).get("environment", "")
    if environment == metadata.get("environment"):
        return ""
    return f"The reference was trained in {environment}; to compare with it: {command('train', agent, '--env', environment)}"


def _shipped(item: Assignment, environment: str) -> Band | None:
    """Return the curve that goes with the trained agent of a topic, None where that plays elsewhere."""
    metadata = read_metadata(item.checkpoint)
    if metadata.get("environment") != environment or "curves" not in metadata:
        return None
    stored = json.loads(metadata["curves"])
    label = f"the reference of {item.name}, {len(stored['returns'])} seeds"
    return _interval(label, np.array(stored["steps"]), np.array(stored["returns"]))


def recorded(points: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return steps [P] and the smoothed values [seed, P] of runs, each [N, 2], where all of them have some."""
    start, end = max(run[0, 0] for run in points), min(run[-1, 0] for run in points)
    steps = np.linspace(start, max(start, end), POINTS)
    return steps, np.stack([np.interp(steps, *_smoothed(run).T) for run in points])


def draw(compared: Sequence[Band], scalar: str, path: Path) -> None:
    """Draw the bands into a file, in the format of its suffix.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for band in compared:
        (line,) = axes.plot(band.steps, band.mean, label=band.label)
        axes.fill_between(band.steps, band.low, band.high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="environment steps", ylabel=scalar.replace("_", " "))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def _read(folder: Path, scalar: str) -> Run:
    metadata = read_metadata(folder / CHECKPOINT)
    try:
        scalars = read_log(folder / LOG)
    except OSError as error:
        raise RunError(f"{folder / LOG} cannot be read: {error.strerror}") from error
    if scalar not in scalars:
        raise RunError(f"the run {folder} has not logged {scalar!r}; {suggested(scalar, sorted(scalars))}")
    config = json.loads(metadata.get("config", "{}"))
    config.pop("seed", None)
    return Run(folder, metadata.get("environment", ""), config, np.array(scalars[scalar], float))


def _label(runs: list[Run], all_groups: list[Run]) -> str:
    """Return in what a configuration differs from the others, or where its runs lie."""
    differing = {
        name for run in all_groups for name in run.config if any(other.config.get(name) != run.config[name] for other in all_groups)
    }
    words = [f"{name}={runs[0].config.get(name)}" for name in sorted(differing)]
    if len({run.environment for run in all_groups}) > 1:
        words.insert(0, runs[0].environment)
    count = f"{len(runs)} runs" if len(runs) > 1 else ""
    return ", ".join(filter(None, [*(words[:3] or [str(runs[0].path) if len(runs) == 1 else runs[0].environment]), count]))


def _band(label: str, points: list[np.ndarray]) -> Band:
    return _interval(label, *recorded(points))


def _interval(label: str, steps: np.ndarray, values: np.ndarray) -> Band:
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975], axis=0)
    return Band(label, steps, values.mean(0), low, high, len(values))


def _smoothed(points: np.ndarray) -> np.ndarray:
    """Return the running mean over a twentieth of the points."""
    window = max(1, len(points) // 20)
    kernel = np.ones(window) / window
    return np.stack([points[window - 1 :, 0], np.convolve(points[:, 1], kernel, "valid")], axis=1)
