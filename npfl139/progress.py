"""How far long work is: a bar in the terminal, for a training with its curve, or a figure in a notebook; in a log a line a minute."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from npfl139 import in_notebook
from npfl139.charts import Curve, chart

__all__ = ["Display", "Pace", "bar", "display"]

Scalars = Mapping[str, Sequence[Sequence[float]]]  # name -> [[steps, value], ...]
RETURN = "episode_return"
CURVE_HEIGHT = 8  # lines
MINUTE = 60.0  # seconds


class Pace:
    """How long the rest of some work takes, from how long it took until now: for logs, in which no bar can move."""

    def __init__(self, done: float = 0):
        self.before, self.start = done, time.monotonic()
        self.told = self.start

    def left(self, done: float, total: float) -> str:
        """Return the time that remains in words, which begin with a comma; empty where it is less than a minute, or unknown."""
        seconds = (time.monotonic() - self.start) * (total - done) / (done - self.before) if done > self.before else 0.0
        hours, minutes = divmod(round(seconds / MINUTE), 60)
        return f", about {f'{hours} h ' if hours else ''}{minutes} min left" if hours or minutes else ""

    def is_due(self) -> bool:
        """Return whether a minute went by since this was last true, or since the beginning."""
        if time.monotonic() - self.told < MINUTE:
            return False
        self.told = time.monotonic()
        return True


@contextmanager
def bar(console: Console, description: str) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what shows (description, done, total) as a bar that vanishes at the end; in a log as a line now and then."""
    pace = Pace()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=None)

        def tell(description: str, done: int, total: int) -> None:
            progress.update(task, description=description, completed=done, total=total)
            if not console.is_terminal and pace.is_due():
                console.print(Text(f"{description}: {done} of {total}{pace.left(done, total)}"), soft_wrap=True)

        yield tell


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
        self.total, self.pace = total, Pace(done)
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
        if not self.console.is_terminal and self.pace.is_due():
            told = f"{steps} of {self.total} steps{f', {note}' if note else ''}{self.pace.left(steps, self.total)}"
            self.console.print(Text(told), soft_wrap=True)
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
