"""The command `npfl139`: what a student, a demonstrator and, where grader/ is installed, an instructor needs.

Whatever imports torch is imported by the command that needs it, so that the others answer at once.
"""

import importlib
import importlib.metadata
import itertools
import json
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from npfl139 import DISTRIBUTION, usage
from npfl139.catalogue import Assignment, CatalogueError, assignment, assignments, topic_of, topics_from
from npfl139.lecture.command import lecture
from npfl139.source import SUFFIXES, Unreadable
from npfl139.terminal import UserError, console, missing, say, suggested

if TYPE_CHECKING:  # commands answer at once
    from npfl139 import film
    from npfl139.demonstration import Show

__all__ = ["GROUP", "add_commands", "app", "main"]

GROUP = "npfl139.commands"
TERMINAL_SPEED = 20  # pictures a second; a terminal does not keep up with more
OURS = ("npfl139", "grader", "solutions", "deep_rl_unit")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


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
    """A teaching unit on deep reinforcement learning: assignments, their examples, agents and grading.

    Begin with npfl139 topics and npfl139 start TOPIC. The status of a command is 0, or 1 where something failed a check, 2 where it was
    asked for something that cannot be done. NO_COLOR=1 turns colours off.
    """


@app.command()
def topics(as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON, for programs.")] = False) -> None:
    """List the topics: exercises, points, prerequisites."""
    if as_json:
        shown = ("title", "points", "training_points", "prerequisites")
        print(json.dumps({item.name: {name: getattr(item, name) for name in shown} for item in assignments().values()}, indent=2))
        return
    for item in assignments().values():
        builds_on = f", builds on {', '.join(item.prerequisites)}" if item.prerequisites else ""
        say(f"{item.name}", style="bold")
        console.print(Padding(Text(f"{item.title}, {item.max_score:g} points{builds_on}"), (0, 0, 0, 2)))
        console.print(Padding(Text(", ".join(item.points), style="dim"), (0, 0, 0, 2)))
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
        say(f"What a docstring cites is in the lecture: npfl139 lecture {topic}")
    if notebook:
        say(f"Open it with: jupyter notebook {target}")
        say("Below each exercise a cell checks it" + ("; the last cell trains." if item.has_agent else "."))
    else:
        say(f"Check your work with: npfl139 check {target}, or check it whenever you save it: npfl139 check {target} --watch")


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

    item = assignment(topic) if topic else _assignment_of(file)
    if not watch:
        raise typer.Exit(0 if _checked(item, file, as_json) else 1)
    checking.watch(file, lambda: _checked(item, file, as_json), console)


def _checked(item: Assignment, file: Path, as_json: bool) -> bool:
    """Run the examples and print what came of them; return whether all pass."""
    from npfl139.checking import Report
    from npfl139.examples import LoadError, check_examples

    try:
        with Console(stderr=True).status(
            f"running the examples of {item.name}; Ctrl-C stops one that does not end"
        ):  # stdout is the examples' own
            outcomes = check_examples(item, file)
    except OSError as error:
        raise _cannot_be_read(file, error) from error
    except (Unreadable, LoadError) as error:
        if as_json:
            print(json.dumps({"topic": item.name, "error": str(error)}, ensure_ascii=False))
        else:
            say(str(error), style="red")
        return False
    report = Report(item.name, tuple(outcomes), f"Next: {', or '.join([*_to_do_with(item, file), 'hand it in'])}.")
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False, indent=2))
    else:
        if file.stem != item.name:
            say(f"{file.name} is taken for {item.name}.", style="dim")
        report.show(console)
    return report.is_complete


def _to_do_with(item: Assignment, file: Path) -> list[str]:
    """Return what shows at work a file that is complete."""
    if item.has_agent:
        return [f"npfl139 train {file}"]
    return [f"npfl139 lecture {item.name} --with {file}"] if item.lecture.is_file() else []


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
    from npfl139 import commandline

    if agent == "--help":
        say(context.get_help())
        raise typer.Exit
    module = _module(agent)
    if not hasattr(module, "train"):
        raise UserError(f"{agent} has no function train, so there is nothing to train; npfl139 demo {agent} shows what it is about")
    commandline.main(module.train, context.args, f"npfl139 train {agent}")


@app.command()
def demo(
    what: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC|FILE|RUN", help="One of `npfl139 topics`, your file, or a folder of npfl139 train.", autocompletion=topics_from
        ),
    ],
    versus: Annotated[str | None, typer.Option(metavar="TOPIC|FILE|RUN", help="Show this one beside it.")] = None,
    env: Annotated[str | None, typer.Option(metavar="ENVIRONMENT", help="Where it plays.", show_default="its own")] = None,
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Its run, where the run does not tell whose it is.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train it now, and see its curve grow.")] = False,
    steps: Annotated[int | None, typer.Option(min=1, metavar="COUNT", help="Environment steps of that.", show_default="its own")] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Of the training and the episodes.")] = 42,
    episodes: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Episodes to play.")] = 3,
    render: Annotated[
        str | None,
        typer.Option(metavar="terminal|human|none", help="Where; human is a window.", show_default="terminal, if it has colours"),
    ] = None,
    gif: Annotated[Path | None, typer.Option(metavar="FILE.gif", help="Save the first episode.")] = None,
    mp4: Annotated[Path | None, typer.Option(metavar="FILE.mp4", help="Save the first episode.")] = None,
    threads: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Of torch; small networks are fastest with one.")] = 1,
) -> None:
    """Watch what a topic is about: its trained agent, or its method at work; yours; two of them side by side."""
    import torch

    from npfl139 import film
    from npfl139.runs import RunError

    for suffix, path in ((".gif", gif), (".mp4", mp4)):
        if path is not None:
            _expect_film(path, suffix)
    if render not in (None, "terminal", "human", "none"):
        raise UserError(f"there is no --render {render}; {suggested(render, ('terminal', 'human', 'none'))}")
    torch.set_num_threads(threads)
    try:
        shows = [_show(one, env, run, train, seed, steps) for one in (what, versus) if one is not None]
        title, speed = " and ".join(show.title for show in shows), max(show.frames_per_second for show in shows)

        def frames(count: int) -> "Iterator[film.Frame]":
            first, *others = (show.frames(count) for show in shows)
            return film.beside(first, others[0]) if others else first

        for path in filter(None, (gif, mp4)):
            film.save(frames(1), path, speed)
            say(f"The first episode is in {path}.")
        if render == "human":
            film.show_in_window(frames(episodes), title, speed)
        elif render == "terminal" or (render is None and console.is_terminal and not console.no_color and not (gif or mp4)):
            skipped = max(1, int(speed // TERMINAL_SPEED))
            film.show_in_terminal(itertools.islice(frames(episodes), 0, None, skipped), console, speed / skipped)
        else:
            for sentence in (sentence for show in shows for sentence in show.told(episodes)):
                say(sentence)
    except NotImplementedError as error:
        _blame_stub(error, "the demonstration needs it")
        raise
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (ValueError, ImportError, RunError, OSError, film.FilmError) as error:
        raise UserError(str(error)) from error


@app.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of npfl139 train.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw into this .png, .pdf or .svg, not in the terminal.")] = None,
    scalar: Annotated[str, typer.Option(metavar="NAME", help="What to compare.")] = "episode_return",
    as_json: Annotated[bool, typer.Option("--json", help="Print where the curves end as JSON, for programs.")] = False,
) -> None:
    """Compare runs: seeds of one configuration become a mean and its 95 % interval. The reference's seeds are added where it has some."""
    from npfl139 import charts, comparison
    from npfl139.runs import CHECKPOINT, RunError

    if out is not None:
        _expect_picture(out)
    without = [run for run in runs if not (run / CHECKPOINT).exists()]
    if len(without) == len(runs):
        _expect_run(runs[0])
    for run in without:
        typer.echo(f"{run} is left out: it has no {CHECKPOINT} yet", err=True)
    try:
        runs = [run for run in runs if run not in without]
        compared = comparison.bands(runs, scalar)
        if scalar == "episode_return":
            compared += comparison.references(runs[0])
        if out is not None:
            comparison.draw(compared, scalar, out)
    except (RunError, OSError) as error:
        raise UserError(str(error)) from error
    ends = [(band.label, band.mean[-1], band.low[-1], band.high[-1]) for band in compared]
    if as_json:
        names = ("label", "mean", "low", "high")
        print(json.dumps([dict(zip(names, map(_plain, end), strict=True)) for end in ends], ensure_ascii=False, indent=2))
        return
    if out is None:
        console.print(
            charts.chart([charts.Curve(band.steps.tolist(), band.mean.tolist()) for band in compared], min(console.width, 100), 16)
        )
    table = Table(Column(overflow="fold"), f"{scalar.replace('_', ' ')} at the end", "95 % of the mean", box=None, header_style="bold")
    for index, (label, mean, low, high) in enumerate(ends):
        style = charts.COLOURS[index % len(charts.COLOURS)] if out is None else ""
        table.add_row(Text(label, style=style), f"{mean:.4g}", f"{low:.4g} to {high:.4g}" if compared[index].runs > 1 else "one run")
    console.print(table)
    say(f"The picture is in {out}." if out else f"Everything that was logged: tensorboard --logdir {runs[0].parent}")


def _plain(value: object) -> object:
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]


def _show(what: str, env: str | None, run: Path | None, train: bool, seed: int, steps: int | None) -> "Show":
    """Return what there is to watch: of a run its agent; of a topic what is shipped of it; otherwise an agent that is trained now."""
    from npfl139 import demonstration

    item = None if what.endswith(SUFFIXES) else assignments().get(what)
    if run is not None or (item is None and Path(what).is_dir()):
        return _of_run(what, run, env, seed)
    is_new = train or steps is not None
    if item is not None and not is_new and (shipped := _shipped(item, env, seed)) is not None:
        return shipped
    module = _module(what)
    if hasattr(module, "demonstration") and not is_new and env is None:
        return demonstration.staged(module)
    if not hasattr(module, "make_agent"):
        raise UserError(f"{what} has no agent to {'train' if train else 'show'}")
    return demonstration.trained(module, env, seed, steps)


def _of_run(what: str, run: Path | None, env: str | None, seed: int) -> "Show":
    """Return the agent of a run, which is of that file or topic, or is itself what was named, and tells whose it is."""
    from npfl139 import demonstration
    from npfl139.runs import CHECKPOINT, read_metadata

    folder = run or Path(what)
    _expect_run(folder)
    author = what if run else read_metadata(folder / CHECKPOINT).get("agent", "") or what
    return demonstration.restored(_module(author), folder / CHECKPOINT, env, seed)


def _shipped(item: Assignment, env: str | None, seed: int) -> "Show | None":
    """Return what is shipped of a topic: its trained agent, or its film where an exercise lacks; None if nothing that plays there."""
    from npfl139 import demonstration
    from npfl139.runs import read_metadata

    if env is None and item.film.exists() and (exercise := _unwritten(item)) is not None:
        say(f"This is the reference, filmed: {exercise} is not written yet in {item.name}.py here.")
        return demonstration.filmed(item.film, item.name)
    if item.checkpoint.exists() and env in (None, read_metadata(item.checkpoint).get("environment")):
        return demonstration.restored(_module(item.name, item.program), item.checkpoint, env, seed)
    return None


def _unwritten(item: Assignment) -> str | None:
    """Return the first exercise that lacks where there is no solution, of the file that has the topic's name, or of the skeleton."""
    from npfl139.examples import is_written

    module = _module(item.name, item.program)
    return next((exercise for exercise in item.points if not is_written(vars(module), exercise)), None)


def _expect_run(folder: Path) -> None:
    """Raise a UserError that says where the runs are, if the folder is none."""
    from npfl139.runs import CHECKPOINT

    if (folder / CHECKPOINT).exists():
        return
    if not folder.is_dir():
        raise UserError(missing(folder, "folder", (path for path in folder.parent.glob("*") if (path / CHECKPOINT).exists())))
    inside = sorted(path.parent for path in folder.glob(f"*/{CHECKPOINT}"))
    if inside:
        raise UserError(f"{folder} holds several runs: name one, such as {inside[-1]}")
    raise UserError(
        f"there is no {CHECKPOINT} in {folder}: a training writes its first after a minute, and one that was stopped before has none"
    )


def _cannot_be_read(file: Path, error: OSError | None = None) -> UserError:
    if file.exists():
        return UserError(f"{file} cannot be read: {error.strerror if error else 'unknown error'}")
    return UserError(missing(file, "file", (path for path in file.parent.glob("*") if path.suffix in SUFFIXES)))


def _expect_film(path: Path, suffix: str) -> None:
    if path.suffix.lower() != suffix:
        raise UserError(f"the name of the film must end in {suffix}: --{suffix[1:]} {path.with_suffix(suffix)}")
    _expect_folder(path)


def _expect_picture(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UserError(f"the name of the picture must end in .png, .pdf or .svg: --out {path.with_suffix('.png')}")
    _expect_folder(path)


def _expect_folder(path: Path) -> None:
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
    if file.is_dir():
        raise UserError(f"{file} is a folder: name the .py or .ipynb file in it")
    known = assignments()
    topic, _ = topic_of(file.name, known)
    if topic is None:
        raise UserError(f"the name of {file} tells no topic: add --topic with one of {', '.join(known)}")
    return known[topic]


def _module(agent: str, skeleton: Path | None = None) -> types.ModuleType:
    """Return the module of a file, or of a topic's solution where there is one, or else of a file that has its name, or its skeleton."""
    from npfl139.examples import LoadError, load_module

    if not agent.endswith(SUFFIXES):
        try:
            return importlib.import_module(f"solutions.{agent}")
        except ModuleNotFoundError as error:
            if error.name not in ("solutions", f"solutions.{agent}"):
                raise UserError(f"the solution of {agent} needs {error.name}, which is not installed") from error
        own = Path(f"{agent}.py")
        if skeleton is not None and not own.exists():
            own = skeleton
        if not own.exists():
            known = assignments()
            raise UserError(
                f"there is no solution of {agent} here, and no file {own}: begin with npfl139 start {agent}, or name your file"
                if agent in known
                else f"there is no topic {agent!r}, and no file {own}; {suggested(agent, known)}"
            )
        agent = str(own)
    path = Path(agent)
    try:
        return load_module(path, path.stem)[0]
    except OSError as error:
        raise _cannot_be_read(path, error) from error
    except (Unreadable, LoadError) as error:
        raise UserError(str(error)) from error


if __name__ == "__main__":
    main()
