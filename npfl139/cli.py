"""The command `npfl139`: what a student, a demonstrator and, where grader/ is installed, an instructor needs.

Whatever imports torch is imported by the command that needs it, so that the others answer at once.
"""

import difflib
import importlib
import importlib.metadata
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from npfl139 import DISTRIBUTION, usage
from npfl139.catalogue import Assignment, CatalogueError, assignment, assignments, topic_of
from npfl139.lecture.command import lecture
from npfl139.source import SUFFIXES, Unreadable
from npfl139.terminal import UserError, console, say

__all__ = ["GROUP", "add_commands", "app", "main"]

GROUP = "npfl139.commands"
OURS = ("npfl139", "grader", "solutions", "deep_rl_unit")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
STYLES = {"passed": "green", "failed": "red", "missing": "yellow", "blocked": "yellow"}


def main() -> None:
    """Run the command line, with the commands that other distributions add to it."""
    add_commands()
    try:
        usage.answer(app, "npfl139")
    except (UserError, CatalogueError) as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in OURS:
            raise
        _refuse(f"{error.name} is not installed: install it, or for the instructors' commands pip install '{DISTRIBUTION}[grader]'")


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"npfl139: {sentence}", err=True)
    sys.exit(2)


def add_commands() -> None:
    """Add what is registered in the entry-point group: functions that take the app, or apps of their own. What is broken is told."""
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            commands = point.load()
            if isinstance(commands, typer.Typer):
                app.add_typer(commands)
            else:
                commands(app)
        except Exception as error:  # another's code may fail in any way, and a student's command must go on
            brought_by = f" of {point.dist.name}" if point.dist else ""
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            typer.echo(f"npfl139: the commands {point.value}{brought_by} cannot be loaded ({reason}): reinstall or uninstall it", err=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            say(importlib.metadata.version(DISTRIBUTION))
        except importlib.metadata.PackageNotFoundError:
            raise UserError(f"the version is unknown, because {DISTRIBUTION} is not installed: run pip install in its folder") from None
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """A teaching unit on deep reinforcement learning: assignments, their examples, agents and grading."""


@app.command()
def topics() -> None:
    """List the topics: exercises, points, prerequisites."""
    for item in assignments().values():
        builds_on = f", builds on {', '.join(item.prerequisites)}" if item.prerequisites else ""
        say(f"{item.name}", style="bold")
        say(f"  {item.title}, {item.max_score:g} points{builds_on}")
        console.print(Padding(Text(", ".join(item.points), style="dim"), (0, 0, 0, 2)))


@app.command()
def start(
    topic: Annotated[str, typer.Argument(help="One of `npfl139 topics`.")],
    notebook: Annotated[bool, typer.Option("--notebook", help="Copy the notebook instead of the program.")] = False,
    out: Annotated[Path, typer.Option(help="Folder to copy into.")] = Path("."),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there already.")] = False,
) -> None:
    """Copy the skeleton of an assignment."""
    item = assignment(topic)
    source = item.notebook if notebook else item.program
    target = out / source.name
    if target.exists() and not force:
        raise UserError(f"{target} exists already, perhaps with your work in it: name another folder with --out, or add --force")
    try:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except (OSError, shutil.SameFileError) as error:
        raise UserError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from error
    say(f"{target}: {len(item.points)} exercises, each a function that raises NotImplementedError until you write it.")
    if item.prerequisites:
        say(f"It builds on {', '.join(item.prerequisites)}, whose solutions it imports.")
    say(f"Check your work with: npfl139 check {target}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Your .py or .ipynb file.")],
    topic: Annotated[str | None, typer.Option(help="The topic, if the file's name does not tell it.")] = None,
) -> None:
    """Run the public examples on your file, and list the exercises still to be written."""
    from npfl139.examples import LoadError, check_examples, indented

    item = assignment(topic) if topic else _assignment_of(file)
    try:
        with Console(stderr=True).status(f"running the examples of {item.name}"):  # stdout is the examples' own
            outcomes = check_examples(item, file)
    except OSError as error:
        raise _cannot_be_read(file, error) from error
    except (Unreadable, LoadError) as error:
        say(str(error), style="red")
        raise typer.Exit(1) from error
    table = Table("exercise", "", "", box=None, header_style="bold")
    for outcome in outcomes:
        table.add_row(outcome.exercise, Text(outcome.status, style=STYLES[outcome.status]), Text(outcome.summary))
    console.print(table)
    for outcome in outcomes:
        printed = f"it printed:\n{indented(outcome.printed)}" if outcome.printed else ""
        if outcome.details or printed:
            say(f"\n{outcome.exercise}", style="bold")
            say("\n".join(filter(None, (outcome.details, printed))))
    passed = sum(outcome.status == "passed" for outcome in outcomes)
    say(f"\n{passed} of {len(outcomes)} exercises pass their examples. The grader checks more than these.")
    raise typer.Exit(0 if passed == len(outcomes) else 1)


app.command()(lecture)


@app.command(context_settings=PASS_ON)
def train(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="TOPIC|FILE", help="One of `npfl139 topics` that has an agent, or your file.")],
) -> None:
    """Train an agent: of your file, or of a topic's solution.

    Every field of its configuration is an option: npfl139 train TOPIC|FILE --help lists them.
    """
    from npfl139 import commandline

    if agent == "--help":
        say(context.get_help())
        raise typer.Exit
    module = _module(agent)
    if not hasattr(module, "train"):
        raise UserError(f"{agent} has no function train, so there is nothing to train")
    try:
        commandline.main(module.train, context.args, f"npfl139 train {agent}")
    except NotImplementedError as error:
        _blame_stub(error, "training needs it")
        raise


@app.command()
def demo(
    topic: Annotated[str, typer.Argument(metavar="TOPIC|FILE", help="One of `npfl139 topics` that has an agent, or your file.")],
    env: Annotated[str | None, typer.Option(help="Environment id.", show_default="the topic's first")] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of an earlier `npfl139 train`, instead of training now.")] = None,
    gif: Annotated[Path | None, typer.Option(help="Save the first episode as an animation, a .gif file.")] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to play.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the training and of the episodes.")] = 42,
    steps: Annotated[int | None, typer.Option(help="Environment steps of the training.", show_default="as the configuration says")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch; small networks are fastest with one.")] = 1,
) -> None:
    """Show an agent at work: train it now, or take it from an earlier run; play episodes; save an animation."""
    import torch

    from npfl139 import demonstration
    from npfl139.runs import RunError

    if gif is not None:
        _expect_gif(gif)
    torch.set_num_threads(threads)
    module = _module(topic)
    if not hasattr(module, "make_agent"):
        raise UserError(f"{topic} has no agent to show")
    try:
        if run is None:
            with tempfile.TemporaryDirectory() as folder:
                agent, environment_id = demonstration.trained(module, env, seed, steps, Path(folder) / "run")
        else:
            agent, environment_id = demonstration.restored(module, run, env)
        for returned in demonstration.play(agent, environment_id, episodes, seed, gif):
            say(f"{environment_id}: return {returned:.1f}")
    except NotImplementedError as error:
        _blame_stub(error, "the agent needs it")
        raise
    except (ValueError, ImportError, RunError, OSError) as error:
        raise UserError(str(error)) from error
    if gif:
        say(f"The first episode is in {gif}.")


def _cannot_be_read(file: Path, error: OSError | None = None) -> UserError:
    if file.exists():
        return UserError(f"{file} cannot be read: {error.strerror if error else 'unknown error'}")
    beside = [path.name for path in file.parent.glob("*") if path.suffix in SUFFIXES]
    near = difflib.get_close_matches(file.name, beside, n=1)
    return UserError(f"there is no file {file}" + (f"; did you mean {file.with_name(near[0])}?" if near else ""))


def _expect_gif(path: Path) -> None:
    if path.suffix.lower() != ".gif":
        raise UserError(f"the animation is a GIF, so that its name must end in .gif: --gif {path.with_suffix('.gif')}")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} to write {path.name} into")


def _blame_stub(error: NotImplementedError, need: str) -> None:
    """Raise a UserError if the error is that of an exercise that is not written yet; torch raises such errors, too."""
    from npfl139.examples import missing_exercise

    exercise = missing_exercise(error)
    if exercise is not None:
        raise UserError(f"{exercise} is not implemented yet, and {need}") from error


def _assignment_of(file: Path) -> Assignment:
    if not file.exists():
        raise _cannot_be_read(file)
    known = assignments()
    topic, _ = topic_of(file.name, known)
    if topic is None:
        raise UserError(f"the name of {file} tells no topic: add --topic with one of {', '.join(known)}")
    return known[topic]


def _module(agent: str) -> types.ModuleType:
    """Return the module of a file, or of a topic's solution where there is one, or else of a file that has the topic's name."""
    from npfl139.examples import LoadError, load_module

    if not agent.endswith(SUFFIXES):
        try:
            return importlib.import_module(f"solutions.{agent}")
        except ModuleNotFoundError as error:
            if error.name not in ("solutions", f"solutions.{agent}"):
                raise UserError(f"the solution of {agent} needs {error.name}, which is not installed") from error
        if not Path(f"{agent}.py").exists():
            raise UserError(f"there is no solution of {agent} here, and no file {agent}.py; name your file, as in npfl139 train {agent}.py")
        agent = f"{agent}.py"
    path = Path(agent)
    try:
        return load_module(path, path.stem)[0]
    except OSError as error:
        raise _cannot_be_read(path, error) from error
    except (Unreadable, LoadError) as error:
        raise UserError(str(error)) from error


if __name__ == "__main__":
    main()
