"""What the commands of a course print."""

import datetime
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.show.display import LOG_WIDTH
from grader.show.findings import number
from npfl139.text import one_line, printable

__all__ = ["Screen", "points", "when"]

Cell = str | Text
WORD = 24  # letters: names of topics and exercises


class Screen:
    """Prints tables and sentences, as wide as the terminal, or as a log where there is none."""

    def __init__(self, zone: datetime.tzinfo, console: Console | None = None):
        self.zone = zone
        self.console = console or Console(width=None if sys.stdout.isatty() else LOG_WIDTH)

    def say(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """Print a sentence, wrapped between words."""
        told = Text(one_line(text), style=style)
        self.console.print(Padding(told, (0, 0, 0, indent), expand=False) if indent else told)

    def command(self, text: str) -> None:
        """Print a command to copy, in one line however long."""
        self.console.print(Text(f"  {printable(text)}", style="bold"), soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Cell]], right: Sequence[int] = (), wide: int | None = None) -> None:
        """Print a table, in which texts are broken between words, and what is one word only where it is long.

        Args:
            right: the columns of numbers.
            wide: the column that takes the rest of the width.
        """
        table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=wide is not None)
        written = [[cell if isinstance(cell, Text) else Text(one_line(cell)) for cell in row] for row in rows]
        for index, heading in enumerate(headings):
            words = index != wide and all(len(row[index]) <= WORD and " " not in row[index].plain for row in written)
            table.add_column(
                heading,
                justify="right" if index in right else "left",
                no_wrap=index in right or words,
                overflow="fold",
                ratio=1 if index == wide else None,
            )
        for row in written:
            table.add_row(*row)
        self.console.print(table)

    def time(self, at: datetime.datetime | None) -> str:
        return when(at, self.zone)


def when(at: datetime.datetime | None, zone: datetime.tzinfo) -> str:
    """Return a time as it is in a zone; the end of a day as the day."""
    if at is None:
        return "–"
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d}" if (local.hour, local.minute) == (23, 59) else f"{local:%Y-%m-%d %H:%M}"


def points(value: float) -> str:
    """Return points as people write them."""
    return number(round(value, 2) + 0.0)
