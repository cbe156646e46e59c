"""Curves in a terminal, drawn with the dots of Braille."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

__all__ = ["COLOURS", "Curve", "chart"]

COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue")
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a character of 4 rows and 2 columns


class Curve(NamedTuple):
    """A line through points of ascending x."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""


def chart(curves: Sequence[Curve], width: int, height: int) -> Text:
    """Return the curves over common axes, so many characters wide and high, the ends of the axes written beside them."""
    points = [(x, y) for curve in curves for x, y in zip(curve.x, curve.y, strict=True)]
    if not points:
        return Text("no data yet")
    (left, right), (bottom, top) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    labels = [f"{value:.4g}" for value in (top, bottom)]
    margin = max(map(len, labels)) + 1
    columns, rows = max(8, width - margin - 1), max(2, height - 1)
    cells = [[0] * columns for _ in range(rows)]
    styles = [[""] * columns for _ in range(rows)]
    for number, curve in enumerate(curves):
        for column, row in _dots(curve, (left, right), (bottom, top), 2 * columns, 4 * rows):
            cells[row // 4][column // 2] |= DOTS[row % 4][column % 2]
            styles[row // 4][column // 2] = COLOURS[number % len(COLOURS)]
    text = Text(no_wrap=True)
    for row in range(rows):
        label = labels[0] if row == 0 else labels[1] if row == rows - 1 else ""
        text.append(f"{label:>{margin - 1}} │", "dim")
        for dots, style in zip(cells[row], styles[row], strict=True):
            text.append(chr(0x2800 + dots) if dots else " ", style)
        text.append("\n")
    text.append(f"{'':{margin}} {left:.4g}".ljust(margin + 1 + columns - len(f"{right:.4g}")) + f"{right:.4g}", "dim")
    return text


def _dots(curve: Curve, x_range: tuple[float, float], y_range: tuple[float, float], columns: int, rows: int) -> list[tuple[int, int]]:
    """Return the (column, row) that the curve goes through, the upper left one being (0, 0)."""

    def placed(value: float, ends: tuple[float, float], count: int) -> int:
        return round((value - ends[0]) / ((ends[1] - ends[0]) or 1) * (count - 1))

    spots = [(placed(x, x_range, columns), rows - 1 - placed(y, y_range, rows)) for x, y in zip(curve.x, curve.y, strict=True)]
    found = set(spots[:1])
    for (x0, y0), (x1, y1) in zip(spots, spots[1:], strict=False):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        found |= {(round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)) for step in range(steps + 1)}
    return sorted(found)
