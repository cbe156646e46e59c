"""The geometry of the reports' charts: numbers in, coordinates out; the templates draw them as SVG.

Where a value is None, because it was not finite, there is a gap.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grader.records import Points, TrainingResult
from grader.show.findings import number

__all__ = ["DotPlot", "LineChart", "dot_plot", "learning_chart", "trace_chart"]

MAX_POINTS = 240
FLAT = 1e-9

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """A linear map of the values from `low` to `high` to the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    tick_count: int = 4

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Return (pixel, label) at round values."""
        rough = (self.high - self.low) / self.tick_count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * multiple for multiple in (1, 2, 5, 10) if power * multiple >= rough * (1 - FLAT))
        first, last = math.ceil(self.low / step - FLAT), math.floor(self.high / step + FLAT)
        return [(self(index * step), _short(index * step)) for index in range(first, last + 1)]


@dataclass(frozen=True)
class LineChart:
    """A learning curve with what it is compared to, or a trace."""

    width: float
    height: float
    x: Axis
    y: Axis
    curve: str
    summary: str
    band: str = ""
    median: str = ""
    threshold: float | None = None
    evaluations: tuple[tuple[float, float, bool, str], ...] = ()  # x, y, passed, label


@dataclass(frozen=True)
class DotPlot:
    """Stacked dots, one for each of many values, and a threshold."""

    width: float
    height: float
    radius: float
    x: Axis
    dots: tuple[tuple[float, float, bool, str], ...]  # x, y, passed, label
    threshold: float | None


def learning_chart(training: TrainingResult, band: list[list[float]] | None) -> LineChart | None:
    """Return a training check's curve against the reference's band, with the evaluation of each run in a strip to its right.

    None when there is nothing to draw of the submission.
    """
    curve, band, threshold = _points(training.curve), band or [], training.threshold
    runs = [(seed, seed.returned) for seed in training.seeds if seed.returned is not None]
    returns = [returned for _, returned in runs]
    if not curve and not runs:
        return None
    values = [value for _, value in curve] + returns + [value for row in band for value in row[1:]]
    steps = [0.0, *(step for step, _ in curve), *(row[0] for row in band), *(float(seed.steps) for seed, _ in runs)]
    strip = 10 + 13 * len(runs)
    x = _axis(steps, 44, 428 - strip, margin=0.0)
    y = _axis(values + ([] if threshold is None else [threshold]), 206, 12)
    return LineChart(
        width=440,
        height=240,
        x=x,
        y=y,
        curve=_line(curve, x, y),
        summary=_summary(curve, returns, threshold),
        band=_line([(row[0], row[3]) for row in band] + [(row[0], row[1]) for row in reversed(band)], x, y),
        median=_line([(row[0], row[2]) for row in band], x, y),
        threshold=None if threshold is None else y(threshold),
        evaluations=tuple(
            (x.end + 11.5 + 13 * index, y(returned), seed.passed, f"run {index + 1}: {number(returned)}")
            for index, (seed, returned) in enumerate(runs)
        ),
    )


def trace_chart(name: str, values: Points) -> LineChart | None:
    """Return the small chart of something that the submission's agent logged; None when it logged no numbers."""
    points = _points(values)
    if not points:
        return None
    x, y = (
        _axis([step for step, _ in points], 40, 212, margin=0.0, tick_count=3),
        _axis([value for _, value in points], 86, 8, tick_count=3),
    )
    last = number(points[-1][1])
    return LineChart(220, 104, x, y, _line(points, x, y), f"{name} goes from {number(points[0][1])} to {last}")


def dot_plot(labelled: Iterable[tuple[str, float]], threshold: float | None) -> DotPlot | None:
    """Return the plot of labelled values, those that are equal within a dot's width stacked; None when there are none."""
    values = sorted((value, label) for label, value in labelled)
    if not values:
        return None
    x = _axis([value for value, _ in values] + ([] if threshold is None else [threshold]), 14, 626, tick_count=8)
    columns: dict[int, list[tuple[float, str]]] = {}
    for value, label in values:
        columns.setdefault(int((x(value) - x.start) // 10), []).append((value, label))
    radius = min(4.5, 70 / max(map(len, columns.values())))
    height = 14 + 2 * radius * max(map(len, columns.values()))
    dots = tuple(
        (
            x.start + 10 * column + 5,
            round(height - radius - 2 * radius * index, 1),
            threshold is None or value >= threshold,
            f"{label}: {number(value)}",
        )
        for column, stack in columns.items()
        for index, (value, label) in enumerate(stack)
    )
    return DotPlot(640, height + 24, radius, x, dots, None if threshold is None else x(threshold))


def _axis(values: list[float], start: float, end: float, margin: float = 0.05, tick_count: int = 4) -> Axis:
    low, high = min(values), max(values)
    if high - low <= FLAT * max(abs(low), abs(high), 1):
        low, high = low - max(abs(low), 1) / 2, high + max(abs(high), 1) / 2
    space = margin * (high - low)
    return Axis(low - space, high + space, start, end, tick_count)


def _line(points: list[Point], x: Axis, y: Axis) -> str:
    return " ".join(f"{x(step):g},{y(value):g}" for step, value in points)


def _points(values: Points) -> list[Point]:
    """Return the finite points in order, thinned out evenly where there are too many."""
    points = sorted((float(step), value) for step, value in values if value is not None)
    stride = max(1, math.ceil(len(points) / MAX_POINTS))
    return points if stride == 1 else points[:-1:stride] + points[-1:]


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}") if value else "0"


def _summary(curve: list[Point], returns: Sequence[float], threshold: float | None) -> str:
    parts = []
    if curve:
        parts.append(
            f"while training, the mean return went from {number(curve[0][1])} to {number(curve[-1][1])} over {curve[-1][0]:,.0f} steps"
        )
    if returns:
        parts.append(f"evaluated, it reached {', '.join(map(number, returns))}")
    if threshold is not None:
        parts.append(f"{number(threshold)} is needed")
    return "; ".join(parts)
