"""What calibration measured, as it is stored beside a topic's checks: thresholds, error rates, the reference's curves."""

import functools
import json
from pathlib import Path
from typing import Any

from grader.contract import registry

__all__ = ["calibrated", "figures_path", "forget", "reference_band"]


def figures_path(topic_name: str) -> Path:
    """Return where the figures of a topic are stored."""
    return registry.folder(topic_name) / "calibrated.json"


def calibrated(topic_name: str, training_name: str) -> dict[str, Any] | None:
    """Return the stored figures of a training check, or None when it has not been calibrated."""
    return _stored(topic_name).get(training_name)


def reference_band(topic_name: str, training_name: str) -> list[list[float]] | None:
    """Return the band of the reference's learning curves, [[steps, low, median, high], ...], or None."""
    figures = calibrated(topic_name, training_name)
    return figures["band"] if figures else None


@functools.cache
def _stored(topic_name: str) -> dict[str, Any]:
    path = figures_path(topic_name)
    return json.loads(path.read_text())["trainings"] if path.exists() else {}


def forget() -> None:
    """Read the figures once more when they are next asked for."""
    _stored.cache_clear()
