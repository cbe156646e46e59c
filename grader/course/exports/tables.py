"""Tables of platforms as CSV files, filled in and written back: whatever is not filled keeps its content."""

import codecs
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.course.exports.formats import ExportError
from grader.course.marks import Mark
from grader.intake.words import cleaned, separator
from npfl139.files import write_atomically

__all__ = ["Table", "matched", "name_words"]

MAX_BYTES = 64 * 2**20
Rule = tuple[Callable[[Mark], str | None], Callable[[dict[str, str]], str | None]]  # what a mark and a row must have in common


@dataclass
class Table:
    """A CSV file with one line of headings."""

    columns: list[str]
    rows: list[list[str]]
    separator: str
    line_end: str
    has_mark: bool  # whether it begins with a byte order mark

    @classmethod
    def read(cls, path: Path) -> "Table":
        """Read a file in UTF-8.

        Raises:
            ExportError: it cannot be read, or is not such a table.
        """
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ExportError(f"{path} has more than {MAX_BYTES // 2**20} MiB: export it from the platform once more")
            content = path.read_bytes()
            text = content.decode("utf-8-sig")
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator(text)))
        except OSError as error:
            raise ExportError(f"{path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise ExportError(f"{path} is not a CSV file in UTF-8: export it from the platform once more") from error
        if not rows or len(set(rows[0])) != len(rows[0]):
            raise ExportError(f"{path} has no line of headings that differ: export it from the platform once more")
        line_end = "\r\n" if "\r\n" in text else "\n"
        return cls(rows[0], rows[1:], separator(text), line_end, content.startswith(codecs.BOM_UTF8))

    def records(self) -> list[dict[str, str]]:
        """Return the rows by column; what a row lacks is empty."""
        return [dict(zip(self.columns, [*row, *([""] * len(self.columns))], strict=False)) for row in self.rows]

    def fill(self, row: int, column: str, text: str) -> None:
        index = self.columns.index(column)
        cells = self.rows[row]
        cells += [""] * (index + 1 - len(cells))
        cells[index] = text

    def write(self, path: Path) -> None:
        """Write the table as it was read.

        Raises:
            ExportError: it cannot be written; what lies there is intact.
        """
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, delimiter=self.separator, lineterminator=self.line_end)
        writer.writerows([self.columns, *self.rows])
        save(path, (codecs.BOM_UTF8 if self.has_mark else b"") + stream.getvalue().encode(errors="backslashreplace"))


def save(path: Path, content: str | bytes) -> None:
    """Write a file at once and whole, with the folder that it lies in.

    Raises:
        ExportError: it cannot be written; what lies there is intact.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}; what was there is intact") from error


def matched(marks: Sequence[Mark], records: Sequence[dict[str, str]], rules: Sequence[Rule]) -> tuple[dict[int, Mark], list[str]]:
    """Return which row belongs to which mark, by the first rule that finds exactly one row for it, and sentences on those without one.

    What two persons, or two rows, have in common tells nobody.
    """
    found: dict[int, Mark] = {}
    left = list(marks)
    for of_mark, of_row in rules:
        rows: dict[str, list[int]] = {}
        for number, record in enumerate(records):
            if (key := of_row(record)) and number not in found:
                rows.setdefault(key, []).append(number)
        keys = [of_mark(mark) for mark in left]
        still = []
        for mark, key in zip(left, keys, strict=True):
            if key and keys.count(key) == 1 and len(rows.get(key, ())) == 1:
                found[rows[key][0]] = mark
            else:
                still.append(mark)
        left = still
    return found, [f"{mark.person.name} is not in it, or cannot be told from others there" for mark in left]


def name_words(name: str) -> str | None:
    """Return a name so that "Novák, Jan" and "Jan Novák" are the same; None where it is empty.

    >>> name_words("Novák, Jan") == name_words("jan  Novák"), name_words(" ")
    (True, None)
    """
    return " ".join(sorted(cleaned(name).replace(",", " ").casefold().split())) or None
