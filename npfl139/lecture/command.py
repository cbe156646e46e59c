"""The command `npfl139 lecture`."""

from pathlib import Path
from typing import Annotated

import typer

from npfl139.catalogue import Assignment, assignments, topics_from
from npfl139.named import cannot_be_read, expect_folder
from npfl139.terminal import UserError, console, say, suggested

__all__ = ["lecture"]


def lecture(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="One of `npfl139 topics`.", autocompletion=topics_from)],
    own: Annotated[
        Path | None, typer.Option("--with", metavar="FILE", help="Your .py or .ipynb file, whose functions draw the figures.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="PAGE", help="File to write.", show_default="TOPIC.html")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
) -> None:
    """Write a topic's lecture as a page to read, its figures drawn by your functions beside the reference's.

    What you have not written yet is an open box. Ctrl-C ends a cell that takes too long; the page is written all the same.
    """
    from npfl139.lecture.page import page

    known = assignments()
    if topic not in known or not known[topic].lecture.is_file():
        lectures = [name for name, item in known.items() if item.lecture.is_file()]
        raise UserError(f"there is no lecture {topic!r}; {suggested(topic, lectures)}")
    item, out = known[topic], out or Path(f"{topic}.html")
    expect_folder(out)
    try:
        theirs = _reference(item)
        mine = None if own is None else _drawn(item, own)
        text = page(item.lecture, theirs, mine, own.name if own else "")
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
    except ValueError as error:  # LectureError, or markup that the page does not know
        raise UserError(str(error)) from error
    say(f"written: {out}" + ("" if show else ", to open in a browser; --open does it"))
    if show:
        typer.launch(out.absolute().as_uri())


def _reference(item: Assignment) -> list | None:
    """Return what the cells show with the reference: as shipped, or with the solution, None where there is none."""
    from importlib.util import find_spec

    from npfl139.lecture.reference import reference, shipped

    found = shipped(item.lecture)
    if found is not None:
        return found
    try:
        known = find_spec(f"solutions.{item.name}") is not None
    except ModuleNotFoundError:
        known = False
    if not known:
        return None
    with console.status("running the cells of the lecture for the reference's figures, which are kept: up to a minute, and once"):
        return reference(item.lecture)


def _drawn(item: Assignment, own: Path) -> list:
    from rich.progress import Progress

    from npfl139.examples import LoadError
    from npfl139.lecture.reader import lent
    from npfl139.lecture.running import run
    from npfl139.lecture.text import code_of
    from npfl139.source import Unreadable

    cells = code_of(item.lecture.read_text(encoding="utf-8"))
    try:
        with lent(own, item) as place, Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("your figures", total=len(cells))
            shown = run(cells, place, lambda number: progress.update(task, completed=number))
    except OSError as error:
        raise cannot_be_read(own, error) from error
    except (Unreadable, LoadError) as error:
        raise UserError(str(error)) from error
    for one in shown:
        if one.problem.startswith("You interrupted"):
            say(one.problem)
    return shown
