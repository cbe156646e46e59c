"""How far a training is: a bar and a curve in the terminal, a figure in a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from npfl139 import in_notebook
from npfl139.charts import Curve, chart

__all__ = ["Display", "display"]

Scalars = Mapping[str, Sequence[Sequence[float]]]  # name -> [[steps, value], ...]
RETURN = "episode_return"
CURVE_HEIGHT = 8  # lines


class Display(Protocol):
    """Shows how far a training is."""

    def start(self) -> None: ...

    def update(self, steps: int, scalars: Scalars) -> None: ...

    def stop(self, steps: int, scalars: Scalars) -> None: ...


def display(console: Console, total: int, done: int) -> Display:
    """Return what suits the place where the training runs."""
    return Notebook(total) if in_notebook() else Terminal(console, total, done)


class Terminal:
    """A bar with the time that remains, and above it the returns so far; it vanishes at the end."""

    def __init__(self, console: Console, total: int, done: int):
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn(),
            console=console, auto_refresh=False,
        )  # fmt: skip
        self.task = self.bar.add_task("training", total=total, completed=done, note="")
        self.live = Live(self.bar, console=console, auto_refresh=False, transient=True)

    def start(self) -> None:
        self.live.start()

    def update(self, steps: int, scalars: Scalars) -> None:
        returns = scalars.get(RETURN, [])
        latest = returns[-20:]
        note = f"return {sum(value for _, value in latest) / len(latest):.1f}" if latest else ""
        self.bar.update(self.task, completed=steps, note=note)
        has_room = self.console.is_terminal and self.console.height > 2 * CURVE_HEIGHT and len(returns) > 1
        curve = [chart([Curve(*_smooth(returns))], min(self.console.width, 100), CURVE_HEIGHT)] if has_room else []
        self.live.update(Group(*curve, self.bar), refresh=True)

    def stop(self, steps: int, scalars: Scalars) -> None:
        self.live.stop()


class Notebook:
    """A figure of the returns that is drawn anew as they come."""

    def __init__(self, total: int):
        self.total = total
        self.handle: Any = None

    def start(self) -> None:
        """Wait for the first returns: what fails at once has no figure."""

    def update(self, steps: int, scalars: Scalars) -> None:
        from IPython.display import display

        picture = self._figure(scalars, f"{min(steps, self.total)} of {self.total} environment steps")
        if self.handle is None:
            self.handle = display(picture, display_id=True)
        else:
            self.handle.update(picture)

    def stop(self, steps: int, scalars: Scalars) -> None:
        if scalars.get(RETURN):
            self.update(steps, scalars)

    def _figure(self, scalars: Scalars, title: str) -> Any:
        from IPython.core.pylabtools import print_figure
        from IPython.display import Image
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(*_smooth(scalars.get(RETURN, [])))
        axes.set(title=title, xlabel="environment steps", ylabel="return", xlim=(0, self.total))
        axes.grid(alpha=0.3)
        return Image(print_figure(figure))


def _smooth(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return x and y of the mean over every fortieth of the points."""
    size = max(1, len(points) // 40)
    chunks = [points[start : start + size] for start in range(0, len(points), size)]
    return [chunk[-1][0] for chunk in chunks], [sum(value for _, value in chunk) / len(chunk) for chunk in chunks]
