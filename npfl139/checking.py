"""What came of the examples of an assignment, as `npfl139 check` prints it, a notebook shows it and a program reads it."""

import dataclasses
import html
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from npfl139.examples import Outcome
from npfl139.terminal import say

__all__ = ["Report", "watch"]

STYLES = {"passed": "green", "failed": "red", "missing": "yellow", "blocked": "yellow"}
COLOURS = {"passed": "#1a7f37", "failed": "#cf222e", "missing": "#9a6700", "blocked": "#9a6700"}  # readable on white and on black
POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Report:
    """The outcomes of some exercises of a topic, and what to do once all of them pass."""

    topic: str
    outcomes: tuple[Outcome, ...]
    afterwards: str = ""

    @property
    def passed(self) -> int:
        return sum(outcome.status == "passed" for outcome in self.outcomes)

    @property
    def is_complete(self) -> bool:
        return self.passed == len(self.outcomes)

    @property
    def next(self) -> Outcome | None:
        """The exercise to work on: what failed, then what is not written yet; one that waits for another comes later."""
        return next((outcome for status in ("failed", "missing") for outcome in self.outcomes if outcome.status == status), None)

    @property
    def advice(self) -> str:
        """What to do next, and where its equation can be read; empty if there is nothing to say."""
        if self.next is None:
            return self.afterwards if self.is_complete else ""
        what = "correct" if self.next.status == "failed" else "write"
        read = f" It cites {self.next.cites}" if self.next.cites else ""  # which ends in a command to copy
        return f"Next: {what} {self.next.exercise}{f', {self.next.place}' if self.next.place else ''}.{read}"

    @property
    def summary(self) -> str:
        return f"{self.passed} of {len(self.outcomes)} exercises pass their examples. The grader checks more than these."

    def as_dict(self) -> dict[str, Any]:
        """Return what a program may want to know: strings, numbers, lists and dictionaries."""
        return {
            "topic": self.topic,
            "passed": self.passed,
            "total": len(self.outcomes),
            "next": self.next.exercise if self.next else None,
            "exercises": [dataclasses.asdict(outcome) for outcome in self.outcomes],
        }

    def show(self, console: Console) -> None:
        """Print a table, then what failed: code is not wrapped, so that it can be copied."""
        table = Table("exercise", "", "", box=None, header_style="bold")
        for outcome in self.outcomes:
            table.add_row(outcome.exercise, Text(outcome.status, style=STYLES[outcome.status]), Text(outcome.summary))
        console.print(table)
        for outcome in self.outcomes:
            if outcome.details:
                console.print(Text.assemble("\n", (outcome.exercise, "bold"), f"\n{outcome.details}"), soft_wrap=True)
        if len(self.outcomes) > 1:
            say(Text.assemble(f"\n{self.summary}\n", (self.advice, "bold")), to=console)

    def __repr__(self) -> str:
        file = io.StringIO()
        self.show(Console(file=file, width=100, color_system=None, force_jupyter=False))
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines())

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it, below it what failed."""
        cell = "text-align: left; padding: 0.1em 1.5em 0.1em 0"
        rows = "".join(
            f"<tr><td style='{cell}'><code>{html.escape(outcome.exercise)}</code></td>"
            f"<td style='{cell}; color: {COLOURS[outcome.status]}'><b>{outcome.status}</b></td>"
            f"<td style='{cell}'>{html.escape(outcome.summary)}</td></tr>"
            for outcome in self.outcomes
        )
        several = len(self.outcomes) > 1
        details = "".join(
            (f"<b><code>{html.escape(outcome.exercise)}</code></b>" if several else "")
            + f"<pre style='font-family: monospace'>{html.escape(outcome.details)}</pre>"
            for outcome in self.outcomes
            if outcome.details
        )
        end = f"<p>{html.escape(self.summary)} <b>{html.escape(self.advice)}</b></p>" if several else ""
        return f"<table>{rows}</table>{details}{end}"


def watch(path: Path, run: Callable[[], object], console: Console) -> None:
    """Run at once, and again whenever the file was saved, until Ctrl-C."""
    last: int | None = -1
    try:
        while True:
            changed = path.stat().st_mtime_ns if path.exists() else None  # an editor may replace the file, which is gone for a moment
            if changed is not None and changed != last:
                last = changed
                console.clear()
                run()
                console.print(Text(f"\n{time.strftime('%H:%M:%S')}: waiting for {path} to be saved; Ctrl-C ends.", style="dim"))
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        console.print()
