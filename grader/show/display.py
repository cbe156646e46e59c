"""What `npfl139 grade` shows in the terminal: progress while it works, then a table, then where the report is."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from grader.records import Result
from grader.show.findings import finding, passed_text, printable, score_text
from grader.show.groups import grouped
from npfl139.progress import Pace
from npfl139.terminal import say

__all__ = ["Display"]

EACH = 60  # submissions at most of which each has its line in a log and its row in the table; of more there is a summary
WARNINGS = 5  # about pages
LOG_WIDTH = 120  # of the table where the output is a file or a log of a build, which have no width


class Named(Protocol):
    """A submission, as far as the display knows it."""

    @property
    def student(self) -> str: ...

    @property
    def topic(self) -> str: ...


class Display:
    """Shows a line for each submission being graded and an overall bar; plain lines, few for a large class, where there is no terminal.

        with Display(len(submissions), jobs) as display:
            display.started(submission)
            display.finished(result)
        display.table(results, folder)

    It may be called from several threads.
    """

    def __init__(self, total: int, jobs: int, console: Console | None = None):
        self.console = console or Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
        self.is_large = total > EACH
        self.earlier = 0  # results of an earlier run
        self.jobs, self.pace = jobs, Pace()
        self.tasks: dict[tuple[str, str], TaskID] = {}
        description = TextColumn("{task.description}", markup=False)
        self.running = Progress(SpinnerColumn(), description, TimeElapsedColumn(), console=self.console)
        self.overall = Progress(
            description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=self.console
        )
        self.graded = self.overall.add_task(f"graded, {jobs} at a time" if jobs > 1 else "graded", total=total)
        self.live = Live(Group(self.running, self.overall), console=self.console, transient=True) if self.console.is_terminal else None

    def __enter__(self) -> "Display":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.live:
            self.live.stop()

    def started(self, submission: Named) -> None:
        """Show that a submission is being graded; in a log only of the first, since that may take minutes."""
        overall = self.overall.tasks[self.graded]
        if not self.live and not self.tasks and not overall.completed:
            self._print(f"grading, {self.jobs} at a time")
        self.tasks[submission.student, submission.topic] = self.running.add_task(
            printable(f"{submission.student} {submission.topic}"), total=None
        )

    def finished(self, result: Result) -> None:
        """Show a result. One that was not started in this run was graded earlier, and takes no part in the remaining time."""
        line = f"{result.student} {result.topic}: {score_text(result)}"
        task, overall = self.tasks.pop((result.student, result.topic), None), self.overall.tasks[self.graded]
        if task is None:
            self.overall.update(self.graded, total=(overall.total or 0) - 1)
            self.earlier += 1
            if not self.is_large:
                self._print(f"{line}, graded earlier")
        else:
            self.running.remove_task(task)
            self.overall.advance(self.graded)
            done, total = int(overall.completed), int(overall.total or 0)
            if not self.is_large or self.live or done == total or 10 * done // total > 10 * (done - 1) // total:  # in a log, each tenth
                self._print(
                    f"[{done}/{total}] {line} in {result.provenance.seconds:.1f} s{'' if self.live else self.pace.left(done, total)}"
                )

    def table(self, results: Sequence[Result], report: Path | None = None, failed: Sequence[str] = ()) -> None:
        """Print a table of results, or of topics in a large class, warnings, which pages failed, and where the report is."""
        self.console.print()
        self.console.print(_by_topic(results) if self.is_large else _by_student(results))
        if self.is_large and self.earlier:
            self._print(f"{self.earlier} of {len(results)} were graded earlier.")
        faults = sum(result.is_fault for result in results)
        if faults:
            self._warn(
                f"The grader itself failed on {faults} of {len(results)} submissions: those points are open; the next run grades them."
            )
        if any(result.unsandboxed for result in results):
            self._warn("Graded in plain processes, without a sandbox: a dishonest submission could have forged its result.")
        for sentence in failed if len(failed) <= WARNINGS else (*failed[:WARNINGS], f"and {len(failed) - WARNINGS} more such pages"):
            self._warn(sentence)
        if report is not None:
            self.console.print()
            self._print(f"report: {report}")

    def _warn(self, message: str) -> None:
        self.console.print()
        self._print(f"Warning: {message}", "bold yellow")

    def _print(self, line: str, style: str = "") -> None:
        say(printable(line), style, self.console)


def _table(texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in texts:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _by_student(results: Sequence[Result]) -> Table:
    table = _table(("student", "topic"), ("score", "checks", "training"))
    table.add_column("main finding", overflow="fold", ratio=1)
    table.add_column("seconds", justify="right", no_wrap=True)
    for result in results:
        table.add_row(*_row(result))
    return table


def _by_topic(results: Sequence[Result]) -> Table:
    table = _table(("topic",), ("submissions", "full marks", "nothing", "mean", "seconds"))
    for topic, own in grouped(results, lambda result: result.topic).items():
        full, none = (sum(result.share == share for result in own) for share in (1, 0))
        mean = sum(result.share for result in own) / len(own)
        seconds = sum(result.provenance.seconds for result in own)
        table.add_row(Text(printable(topic)), str(len(own)), str(full), str(none), f"{mean:.0%}", f"{seconds:.0f}")
    return table


def _row(result: Result) -> tuple[Text, ...]:
    style = "bold red" if result.is_fault else "green" if result.score == result.max_score else "red" if result.problem else ""
    cells = (
        result.student,
        result.topic,
        score_text(result),
        passed_text(result.checks),
        passed_text(result.training),
        finding(result),
        f"{result.provenance.seconds:.1f}",
    )
    return tuple(Text(printable(cell), style if column in (2, 5) else "") for column, cell in enumerate(cells))  # score and finding
