"""The command `npfl139 similarity`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.show.answers import AsJson, answer
from npfl139.catalogue import topics_from
from npfl139.terminal import UserError, complaints, console, say, suggested

if TYPE_CHECKING:
    from grader.records import Result
    from grader.similarity.compare import Entry
    from grader.similarity.page import Listed

__all__ = ["app"]

app = typer.Typer()
LISTED = 30


@app.command(rich_help_panel="For instructors")
def similarity(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH|RESULTS]...",
            help="Submissions, as for grade; and folders of results, whose mistakes count too. In a course, none: what counts.",
        ),
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Compare this topic only.", autocompletion=topics_from)] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Submissions of an earlier year, to say what is rare and was there before; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Page to write, with the pairs side by side.")] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Numbers for names, in a course pseudonyms; and no comments.")] = False,
    assignment: Annotated[list[str] | None, typer.Option(help="In a course: only this one; may be given again.")] = None,
    attach: Annotated[
        list[str] | None, typer.Option(metavar="GRADEBOOK", help="In a course: an older gradebook, as --earlier; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the pairs of submissions that have more in common, rare in this class, than chance gives. It proves nothing."""
    from grader.classroom.store import StoreError, write_atomically
    from grader.contract.registry import available
    from grader.similarity.compare import similar
    from grader.similarity.page import NO_PROOF, listed, similarity_page
    from grader.similarity.page import anonymous as numbered

    if paths and (assignment or attach):
        raise UserError("--assignment and --attach are for what a course took in: leave the paths out")
    if topic is not None and topic not in available():
        raise UserError(f"there is no topic {topic!r}; {suggested(topic, available())}")
    try:
        own = [] if paths else _of_course(topic, assignment, attach, anonymous)
        entries = _handed_in(paths, topic) if paths else []
        entries += _entries(earlier, topic, {}, earlier=True) if earlier else []
        pairs = [pair for pair in similar(own + (numbered(entries) if anonymous else entries)) if pair.flagged]
        if out is not None:
            write_atomically(out, similarity_page(pairs))
    except (ValueError, StoreError) as error:
        raise UserError(str(error)) from error
    answer([listed(pair) for pair in pairs], as_json, _table)
    said = complaints if as_json else console
    say(NO_PROOF, to=said)
    if out is not None:
        say(f"written: {out}", to=said)


def _handed_in(paths: list[Path], topic: str | None) -> "list[Entry]":
    read = {path: _results(path) for path in paths}
    submissions = [path for path in paths if not read[path]]
    if not submissions:
        raise UserError("results hold no programs: name the folder of the submissions too")
    return _entries(submissions, topic, {key: result for own in read.values() for key, result in own.items()})


def _of_course(topic: str | None, assignments: list[str] | None, attach: list[str] | None, anonymous: bool) -> "list[Entry]":
    from grader.course.commands import compared_here

    if topic is not None:
        raise UserError("in a course, assignments are compared: say --assignment in place of --topic")
    return compared_here(assignments, attach, anonymous)


def _results(path: Path) -> "dict[tuple[str, str], Result]":
    """Return the results in a folder by student and topic; none where it is a folder of submissions."""
    from grader.classroom.store import Store

    found = Store(path).results()[0] if path.is_dir() else []
    return {(result.student, result.topic): result for result in found}


def _entries(paths: list[Path], topic: str | None, results: "dict[tuple[str, str], Result]", earlier: bool = False) -> "list[Entry]":
    """Return what was handed in and is text; what is not, the grader tells its author."""
    from grader.classroom.intake import collect
    from grader.contract.registry import available
    from grader.similarity.compare import Entry
    from npfl139.source import Unreadable, read_unparsed

    entries = []
    for handed_in in collect(paths, available(), topic):
        for name, content in handed_in.submission().unread[:1]:  # several hold the same program
            try:
                source = read_unparsed(content, name).text
            except Unreadable:
                continue
            if topic is None or handed_in.topic == topic:
                result = results.get((handed_in.student, handed_in.topic))
                entries.append(Entry(handed_in.student, handed_in.topic, source, result, earlier))
    return entries


def _table(pairs: "list[Listed]") -> None:
    from rich.table import Table
    from rich.text import Text

    from grader.show.findings import printable
    from grader.similarity.page import chance, summary

    if not pairs:
        say("No pair has more in common, rare in this class, than chance often gives. In a class of a few people, nothing can be rare.")
        return
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("who", "and", "topic"):
        table.add_column(heading, overflow="fold")
    table.add_column("by chance", justify="right", no_wrap=True)
    table.add_column("what speaks for it", overflow="fold", ratio=1)
    for pair in pairs[:LISTED]:
        names = [f"{who}{' (earlier)' * earlier}" for who, earlier in ((pair.one, pair.one_earlier), (pair.other, pair.other_earlier))]
        cells = (*names, pair.topic, chance(pair), summary(pair).replace("`", ""))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)
    if len(pairs) > LISTED:
        say(f"and {len(pairs) - LISTED} more, weaker ones; the page lists all")
