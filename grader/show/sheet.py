"""Results as a table for spreadsheets and scripts."""

import csv
import io
from collections.abc import Iterable, Sequence

from grader.records import CheckResult, Result
from grader.show.findings import printable

__all__ = ["cell", "everything", "harmless", "sheet"]

COLUMNS = (
    "student",
    "topic",
    "kind",
    "exercise",
    "check",
    "verdict",
    "score",
    "max_score",
    "mistake",
    "feedback",
    "submission_sha256",
    "seconds",
)
EXECUTED = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # at last the same in full width


def cell(text: str) -> str:
    r"""Return a text as a cell that no spreadsheet executes: what would be a formula begins with an apostrophe.

    Source: OWASP, "CSV Injection".

    >>> cell("=1+1"), cell("Ada"), cell(" \t@x"), cell("a\tb")
    ("'=1+1", 'Ada', "' \t@x", 'a\tb')
    """
    return f"'{text}" if text.startswith(EXECUTED) or text.lstrip().startswith(EXECUTED) else text


def harmless(text: str) -> str:
    """Return a text as such a cell, in one line.

    >>> harmless("=HYPERLINK(1)"), harmless("-1 is wrong"), harmless("ada")
    ("'=HYPERLINK(1)", "'-1 is wrong", 'ada')
    """
    return cell(printable(text))


def sheet(rows: Iterable[Sequence[str | float | None]]) -> str:
    """Return rows as CSV in UTF-8 with a byte order mark, without which some spreadsheets spoil names. Texts are made `harmless`."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return "\ufeff" + written.getvalue()


def everything(results: Sequence[Result]) -> str:
    """Return every check and training check of every result, one a row; a submission that could not be graded has one that says why."""
    return sheet([COLUMNS, *(row for result in results for row in _rows(result))])


def _rows(result: Result) -> Iterable[Sequence[str | float | None]]:
    basis = (result.provenance.basis.submission_sha256, result.provenance.seconds)
    if result.problem:
        yield (
            result.student,
            result.topic,
            "submission",
            None,
            None,
            "problem",
            result.score,
            result.max_score,
            None,
            result.problem,
            *basis,
        )
        return
    for part in result.parts:
        kind, exercise = ("check", part.exercise) if isinstance(part, CheckResult) else ("training", None)
        said = (part.name, str(part.verdict), part.score, part.max_score, part.mistake, part.feedback)
        yield (result.student, result.topic, kind, exercise, *said, *basis)
