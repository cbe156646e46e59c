"""The command `npfl139`: what a student, a demonstrator and, where grader/ is installed, an instructor needs.

Whatever imports torch is imported by the command that needs it, so that the others answer at once.
"""

import importlib.metadata
import shlex
import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from npfl139 import DISTRIBUTION, command, usage
from npfl139.catalogue import Assignment, CatalogueError, assignment, assignments, topics_from
from npfl139.lecture.command import lecture
from npfl139.named import assignment_of, cannot_be_read, expect_named, module_of
from npfl139.source import Unreadable
from npfl139.terminal import UserError, console, say, tell
from npfl139.watching import demo, plot

__all__ = ["GROUP", "add_commands", "app", "main"]

GROUP = "npfl139.commands"
OURS = ("npfl139", "grader", "solutions", "deep_rl_unit")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def main() -> None:
    """Run the command line, with the commands that other distributions add to it."""
    add_commands()
    try:
        usage.answer(app, "npfl139")
    except (UserError, CatalogueError) as error:
        usage.refuse("npfl139", error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in OURS:
            raise
        usage.refuse(
            "npfl139", f"{error.name} is not installed: install it, or for the instructors' commands pip install '{DISTRIBUTION}[grader]'"
        )


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
    """A teaching unit on deep reinforcement learning: assignments, their examples, agents and grading.

    Begin with npfl139 topics and npfl139 start TOPIC. The status of a command is 0, or 1 where something failed a check, 2 where it was
    asked for something that cannot be done. NO_COLOR=1 turns colours off.
    """


@app.command()
def topics(as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON, for programs.")] = False) -> None:
    """List the topics: exercises, points, prerequisites."""
    if as_json:
        shown = ("title", "points", "training_points", "prerequisites")
        tell({item.name: {name: getattr(item, name) for name in shown} for item in assignments().values()})
        return
    indented = textwrap.TextWrapper(console.width, initial_indent="  ", subsequent_indent="  ")
    for item in assignments().values():
        builds_on = f", builds on {', '.join(item.prerequisites)}" if item.prerequisites else ""
        say(f"{item.name}", style="bold")
        say(indented.fill(f"{item.title}, {item.max_score:g} points{builds_on}"))
        say(indented.fill(", ".join(item.points)), style="dim")
    say("\nBegin with npfl139 start TOPIC, or watch what it is about: npfl139 demo TOPIC")


@app.command()
def start(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="One of `npfl139 topics`.", autocompletion=topics_from)],
    notebook: Annotated[bool, typer.Option("--notebook", help="Copy the notebook instead of the program.")] = False,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to copy into.")] = Path("."),
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
    if item.lecture.is_file():
        say(f"What a docstring cites is in the lecture: {command('lecture', topic)}")
    if notebook:
        say(f"Open it with: {shlex.join(['jupyter', 'notebook', str(target)])}")
        say("Below each exercise a cell checks it" + ("; the last cell trains." if item.has_agent else "."))
    else:
        say(f"Check your work with: {command('check', target)}")
        say(f"Check it whenever you save it: {command('check', target, '--watch')}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Your .py or .ipynb file.")],
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="The topic, if the file's name does not tell it.", autocompletion=topics_from)
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Run them again whenever the file is saved.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON, for programs.")] = False,
) -> None:
    """Run the public examples on your file; say what failed, and which exercise to write next.

    The status is 0 where all exercises pass, 1 where one does not or the file cannot be run, 2 where there is no such file.
    """
    from npfl139 import checking

    item = assignment(topic) if topic else assignment_of(file)
    if not watch:
        raise typer.Exit(0 if _checked(item, file, as_json) else 1)
    checking.watch(file, lambda: _checked(item, file, as_json), console)


def _checked(item: Assignment, file: Path, as_json: bool) -> bool:
    """Run the examples and print what came of them; return whether all pass."""
    from npfl139.checking import Report
    from npfl139.examples import NOT_DEFINED, LoadError, check_examples

    try:
        with Console(stderr=True).status(
            f"running the examples of {item.name}; Ctrl-C stops one that does not end"
        ):  # stdout is the examples' own
            outcomes = check_examples(item, file)
        if all(outcome.summary == NOT_DEFINED for outcome in outcomes):
            raise LoadError(
                f"{file} defines no exercise of {item.name}: if it is of another topic, say so with --topic TOPIC; "
                f"otherwise begin anew with {command('start', item.name)}"
            )
    except OSError as error:
        raise cannot_be_read(file, error) from error
    except (Unreadable, LoadError) as error:
        if as_json:
            tell({"topic": item.name, "error": str(error)})
        else:
            say(str(error), style="red")
        return False
    report = Report(item.name, tuple(outcomes), f"Next: {', or '.join([*_to_do_with(item, file), 'hand it in'])}.")
    if as_json:
        tell(report.as_dict())
    else:
        if file.stem != item.name:
            say(f"{file.name} is taken for {item.name}.", style="dim")
        report.show(console)
    return report.is_complete


def _to_do_with(item: Assignment, file: Path) -> list[str]:
    """Return what shows at work a file that is complete."""
    if item.has_agent:
        return [command("train", file)]
    return [command("lecture", item.name, "--with", file)] if item.lecture.is_file() else []


app.command()(lecture)


@app.command(context_settings=PASS_ON)
def train(
    context: typer.Context,
    agent: Annotated[
        str,
        typer.Argument(metavar="TOPIC|FILE", help="One of `npfl139 topics` that has an agent, or your file.", autocompletion=topics_from),
    ],
) -> None:
    """Train an agent: of your file, or of a topic's solution.

    Every field of its configuration is an option: npfl139 train TOPIC|FILE --help lists them.
    """
    if agent == "--help":
        say(context.get_help())
        raise typer.Exit
    expect_named(agent)
    module = module_of(agent)
    if not hasattr(module, "train"):
        raise UserError(f"{agent} has no function train, so there is nothing to train; {command('demo', agent)} shows what it is about")
    from npfl139 import commandline

    commandline.main(module.train, context.args, f"npfl139 train {agent}")


app.command()(demo)
app.command()(plot)


if __name__ == "__main__":
    main()
