"""What calibration measured, as it is stored beside a topic's checks: scores, thresholds, error rates, the reference's curves."""

import functools
from pathlib import Path

import msgspec

from grader.contract import registry
from grader.records import Probability

__all__ = ["Calibration", "Curve", "Figures", "Measured", "Scores", "calibrated", "figures_path", "forget", "reference_band", "stored"]

Scores = dict[int, float | None]  # by seed; None where the run broke down
Curve = list[tuple[int, float]]  # (environment steps, mean return)


class Measured(msgspec.Struct):
    """A mistake in training: its scores, and how probably it does not get the points."""

    edit: str  # hash of what it changes
    scores: Scores
    stopped: Probability = 0.0
    stopped_low: Probability = 0.0  # at least, with 95 % confidence
    stopped_high: Probability = 1.0  # at most, with 95 % confidence

    def failed_all(self, threshold: float) -> bool:
        """Return whether it was tried and reached the threshold on no seed."""
        return bool(self.scores) and all(score is None or score < threshold for score in self.scores.values())

    @property
    def stops(self) -> bool:
        """Whether it is sure that the mistake loses the points more often than not."""
        return self.stopped_low > 0.5


class Figures(msgspec.Struct):
    """What was measured for one training check, and what follows from it."""

    basis: str  # hash of what the runs rest on
    reference: dict[str, Scores]  # by instruction set
    mistakes: dict[str, Measured]  # by name, of the exercises that the check uses
    curves: dict[str, dict[int, Curve]]  # of the reference's first seeds, by instruction set
    threshold: float = 0.0
    false_fail: Probability = 0.0  # of a correct submission, on the instruction set where that is most probable
    false_fail_bound: Probability = 1.0  # at most, with 95 % confidence on each instruction set
    band: list[list[float]] = []  # [steps, low, median, high] of the curves


class Calibration(msgspec.Struct):
    """The file of a topic."""

    topic: str
    trainings: dict[str, Figures]  # by name


def figures_path(topic_name: str) -> Path:
    """Return where the figures of a topic are stored."""
    return registry.folder(topic_name) / "calibrated.json"


def stored(path: Path) -> dict[str, Figures]:
    """Return the figures of a file by training check; none where there is no file.

    Raises:
        ValueError: it is not what calibration writes.
    """
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibration).trainings
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path} is not what this version of npfl139 calibrate writes, delete it and calibrate anew: {error}") from error


def calibrated(topic_name: str, training_name: str) -> Figures | None:
    """Return the stored figures of a training check, or None when it has not been calibrated."""
    return _stored(topic_name).get(training_name)


def reference_band(topic_name: str, training_name: str) -> list[list[float]] | None:
    """Return the band of the reference's learning curves, [[steps, low, median, high], ...], or None."""
    figures = calibrated(topic_name, training_name)
    return figures.band if figures else None


@functools.cache
def _stored(topic_name: str) -> dict[str, Figures]:
    return stored(figures_path(topic_name))


def forget() -> None:
    """Read the figures once more when they are next asked for."""
    _stored.cache_clear()
