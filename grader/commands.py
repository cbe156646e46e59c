"""The instructor's commands of `npfl139`. They appear wherever this package is installed, and in no student bundle."""

from pathlib import Path
from typing import Annotated

import typer

from npfl139.cli import UserError, app, console

__all__ = ["calibrate", "grade", "release"]


@app.command()
def grade(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, folders <student>/<topic>.py, zip archives of these.")],
    topic: Annotated[str | None, typer.Option(help="Grade this topic only.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    jobs: Annotated[int, typer.Option(min=1, help="Submissions graded at the same time.")] = 1,
    training: Annotated[bool, typer.Option("--training/--no-training", help="Run the training checks.")] = True,
    sandbox: Annotated[str, typer.Option(help="bwrap; or process, which is weaker.")] = "bwrap",
    seed: Annotated[int, typer.Option(help="Seed of the hidden inputs.")] = 0,
) -> None:
    """Grade submissions; exit with status 0 when all were graded, whatever the marks."""
    from grader.classroom import grade_class  # filled in once the class runner exists

    grade_class(paths, topic, out, jobs, training, sandbox, seed)


@app.command()
def release(
    topics: Annotated[list[str] | None, typer.Argument(metavar="[TOPIC]...", help="Topics of a student bundle.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.  [default: assignments/, or bundle/ for a bundle]")] = None,
) -> None:
    """Regenerate assignments/ from the solutions; or, for TOPICs, build the bundle that their students download."""
    from grader.release import bundle, regenerate

    try:
        if topics:
            bundle(topics, out or Path("bundle"))
            console.print(f"The bundle is in {out or 'bundle'}; its README.md tells the students what to do.", markup=False)
        else:
            for path in regenerate(*([out] if out else [])):
                console.print(f"written: {path}", markup=False, soft_wrap=True)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
