"""The commands that write what other systems read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from npfl139.catalogue import topics_from
from npfl139.terminal import UserError, say, suggested

if TYPE_CHECKING:
    from grader.course.marks import Mark

__all__ = ["app"]

app = typer.Typer()
PANEL = "For instructors"
MANY = 10  # sentences on what was left out


@app.command(rich_help_panel=PANEL)
def export(
    name: Annotated[
        str, typer.Option("--format", help="moodle, canvas, gradescope, nbgrader, junit, github, jsonl, or another package's.")
    ],
    out: Annotated[Path, typer.Option(help="File to write; for gradescope and github a folder.")],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A course, or a folder of results.", show_default="the course around, or this one"),
    ] = None,
    assignment: Annotated[list[str] | None, typer.Option(help="Only this assignment; may be given again.")] = None,
    into: Annotated[Path | None, typer.Option(help="The file of Moodle or Canvas that is filled in.")] = None,
    column: Annotated[str | None, typer.Option(help="Column of Canvas's gradebook, where the names do not tell it.")] = None,
    feedback: Annotated[Path | None, typer.Option(help="Archive of the reports to write too, in the platform's folders.")] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Pseudonyms in place of persons.")] = False,
) -> None:
    """Write marks as another system reads them. The status is 3 where somebody's mark could not be written into it."""
    from grader.course.exports.feedback import write_feedback
    from grader.course.exports.formats import ExportError, Request, formats
    from grader.course.exports.formats import anonymous as without_names

    try:
        known = formats()
        if name not in known:
            raise UserError(f"there is no format {name!r}; {suggested(name, known)}")
        if anonymous and into is not None:
            raise UserError(f"{into} names persons, to whom pseudonyms cannot be matched: leave out --anonymous or --into")
        marks, problems = _marks(folder, assignment)
        marks = without_names(marks) if anonymous else marks
        written = [known[name].write(Request(marks, out, into, column))]
        if feedback is not None:
            written.append(write_feedback(marks, feedback))
    except ExportError as error:
        raise UserError(str(error)) from error
    for each in written:
        say(f"written: {each.paths[0]}" if len(each.paths) == 1 else f"written: {len(each.paths)} files")
    left_out = [*problems, *(sentence for each in written for sentence in each.left_out)]
    for sentence in left_out[:MANY]:
        say(sentence)
    if len(left_out) > MANY:
        say(f"and {len(left_out) - MANY} more like these")
    if left_out:
        raise typer.Exit(3)


@app.command(rich_help_panel=PANEL)
def autograder(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="One of `npfl139 topics`.", autocompletion=topics_from)],
    out: Annotated[Path, typer.Option(help="Archive to write.")] = Path("autograder.zip"),
    training: Annotated[bool, typer.Option("--training/--no-training", help="Run the training checks too.")] = True,
    sandbox: Annotated[str, typer.Option(help="bwrap; process, which is weaker; or auto, whichever the container allows.")] = "auto",
    limit: Annotated[float, typer.Option(min=1, help="Seconds of its own that a submission may use.")] = 240,
) -> None:
    """Write an autograder for Gradescope, to be uploaded there as it is."""
    from grader.course.exports.autograder import autograder as write
    from grader.course.exports.formats import ExportError
    from grader.records import SANDBOXES

    kinds = ("auto", *SANDBOXES)
    if sandbox not in kinds:
        raise UserError(f"there is no sandbox {sandbox!r}; {suggested(sandbox, kinds)}")
    try:
        write(topic, out, training, sandbox, limit)
    except ExportError as error:
        raise UserError(str(error)) from error
    say(f"written: {out}; the README.txt in it says what to choose in Gradescope")


def _marks(folder: Path | None, assignments: list[str] | None) -> "tuple[list[Mark], list[str]]":
    """Return the marks of a course, or of a folder of results, and sentences on what cannot be read."""
    from grader.course.settings import FILE, find_course

    if folder is None:
        folder = find_course(Path.cwd()) or Path()
    if (folder / FILE).is_file():
        return _of_course(folder, assignments), []
    from grader.course.exports.plain import plain_marks

    marks, problems = plain_marks(folder)
    known = list(dict.fromkeys(mark.assignment for mark in marks))
    for name in assignments or ():
        if name not in known:
            raise UserError(f"there is no mark for {name!r}; {suggested(name, known)}")
    return [mark for mark in marks if not assignments or mark.assignment in assignments], problems


def _of_course(folder: Path, assignments: list[str] | None) -> "list[Mark]":
    from grader.course.course import open_course
    from grader.course.gradebook import GradebookError
    from grader.course.marking import marks_of
    from grader.course.settings import CourseError

    try:
        return marks_of(open_course(folder), assignments or None, results=True)
    except (CourseError, GradebookError) as error:
        raise UserError(str(error)) from error
