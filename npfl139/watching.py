"""The commands `npfl139 demo` and `npfl139 plot`."""

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from npfl139.catalogue import Assignment, assignments, topics_from
from npfl139.named import expect_folder, expect_named, expect_run, expect_there, module_of
from npfl139.source import SUFFIXES
from npfl139.terminal import UserError, console, say, suggested, tell

if TYPE_CHECKING:  # commands answer at once
    from npfl139 import film
    from npfl139.demonstration import Show

__all__ = ["demo", "plot"]

TERMINAL_SPEED = 20  # pictures a second; a terminal does not keep up with more
STILL, BEHIND = 0.1, 1.0  # seconds that a picture stays at most while others are left out, and by which a film may be late


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
    from npfl139 import film
    from npfl139.examples import missing_exercise

    _expect_films(gif, mp4)
    if render not in (None, "terminal", "human", "none"):
        raise UserError(f"there is no --render {render}; {suggested(render, ('terminal', 'human', 'none'))}")
    named = [what] if versus is None else [what, versus]
    for one in named:
        expect_named(one)
    if run is not None:
        expect_there(run)
    shows = functools.cache(lambda: _shows(named, env, run, train, seed, steps, threads))
    try:
        for path in filter(None, (gif, mp4)):
            film.save(_frames(shows(), 1), path, _speed(shows()))
            say(f"The first episode is in {path}.")
        if render == "human":
            film.show_in_window(_frames(shows(), episodes), " and ".join(show.title for show in shows()), _speed(shows()))
        elif render == "terminal" or (render is None and console.is_terminal and not console.no_color and not (gif or mp4)):
            is_shipped = len(named) == 1 and not train and (env, run, steps) == (None, None, None)
            film.show_in_terminal(itertools.chain(_poster(what) if is_shipped else (), _for_terminal(shows, episodes)), console, math.inf)
        else:
            for sentence in (sentence for show in shows() for sentence in show.told(episodes)):
                say(sentence)
    except NotImplementedError as error:
        if (exercise := missing_exercise(error)) is None:  # torch raises such errors, too
            raise
        raise UserError(f"{exercise} is not implemented yet, and the demonstration needs it") from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (ValueError, ImportError, OSError, film.FilmError) as error:
        raise UserError(str(error)) from error


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of npfl139 train.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw into this .png, .pdf or .svg, not in the terminal.")] = None,
    scalar: Annotated[str, typer.Option(metavar="NAME", help="What to compare.")] = "episode_return",
    as_json: Annotated[bool, typer.Option("--json", help="Print where the curves end as JSON, for programs.")] = False,
) -> None:
    """Compare runs: seeds of one configuration become a mean and its 95 % interval. The reference's seeds are added where it has some."""
    if out is not None:
        _expect_picture(out)
    for run in runs:
        if not run.exists():  # a file among them, such as a picture, is left out below
            expect_there(run)

    from npfl139 import charts, comparison
    from npfl139.runs import CHECKPOINT, RunError

    without = [run for run in runs if not (run / CHECKPOINT).exists()]
    if len(without) == len(runs):
        expect_run(runs[0])
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
    elsewhere = comparison.reference_elsewhere(runs[0]) if scalar == "episode_return" else ""
    ends = [(band.label, band.mean[-1], band.low[-1], band.high[-1]) for band in compared]
    if as_json:
        names = ("label", "mean", "low", "high")
        tell([dict(zip(names, map(_plain, end), strict=True)) for end in ends])
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
    if elsewhere:
        say(elsewhere)
    say(f"The picture is in {out}." if out else f"Everything that was logged: tensorboard --logdir {runs[0].parent}")


def _frames(shows: "list[Show]", episodes: int) -> "Iterator[film.Frame]":
    from npfl139 import film

    first, *others = (show.frames(episodes) for show in shows)
    return film.beside(first, others[0]) if others else first


def _speed(shows: "list[Show]") -> float:
    return max(show.frames_per_second for show in shows)


def _for_terminal(shows: "Callable[[], list[Show]]", episodes: int) -> "Iterator[film.Frame]":
    """Yield the pictures of what is shown, made only when the first of them is asked for, and no more of them than a terminal can draw."""
    speed = _speed(shows())
    skipped = max(1, int(speed // TERMINAL_SPEED))
    yield from _on_time(itertools.islice(_frames(shows(), episodes), 0, None, skipped), speed / skipped)


def _on_time(frames: "Iterable[film.Frame]", frames_per_second: float) -> "Iterator[film.Frame]":
    """Yield pictures when they are due, and leave out those that are late: where drawing takes long, a film jumps and keeps its speed.

    The last is yielded in any case. Where already making the pictures takes too long, the film slows down.
    """
    start = shown = 0.0
    left_out: film.Frame | None = None
    for number, frame in enumerate(frames):
        now = time.monotonic()
        due = start + number / frames_per_second
        if number == 0 or now > due + BEHIND:
            start, due = now - number / frames_per_second, now
        if now > due + 1 / frames_per_second and now < shown + STILL:
            left_out = frame
            continue
        time.sleep(max(0.0, due - now))
        yield frame
        left_out, shown = None, time.monotonic()
    if left_out is not None:
        yield left_out


def _plain(value: object) -> object:
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]


def _poster(what: str) -> "Iterator[film.Frame]":
    """Yield the picture in the middle of a topic's film, which can be shown long before torch is loaded."""
    item = None if what.endswith(SUFFIXES) else assignments().get(what)
    if item is None or not item.film.exists():
        return
    import numpy as np
    from PIL import Image

    from npfl139.film import Frame

    with Image.open(item.film) as film:
        film.seek(getattr(film, "n_frames", 1) // 2)  # where a figure is drawn step by step, the first is empty
        yield Frame(np.asarray(film.convert("RGB")), f"{what} is being loaded; meanwhile a picture of the reference's film")


def _shows(named: list[str], env: str | None, run: Path | None, train: bool, seed: int, steps: int | None, threads: int) -> "list[Show]":
    """Return what there is to watch of each that is named."""
    import torch

    from npfl139.runs import RunError

    torch.set_num_threads(threads)
    try:
        return [_show(one, env, run, train, seed, steps) for one in named]
    except RunError as error:
        raise UserError(str(error)) from error


def _show(what: str, env: str | None, run: Path | None, train: bool, seed: int, steps: int | None) -> "Show":
    """Return what there is to watch: of a run its agent; of a topic what is shipped of it; otherwise an agent that is trained now."""
    from npfl139 import demonstration

    item = None if what.endswith(SUFFIXES) else assignments().get(what)
    if run is not None or (item is None and Path(what).is_dir()):
        return _of_run(what, run, env, seed)
    is_new = train or steps is not None
    if item is not None and not is_new and (shipped := _shipped(item, env, seed)) is not None:
        return shipped
    module = module_of(what)
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
    expect_run(folder)
    author = what if run else read_metadata(folder / CHECKPOINT).get("agent", "") or what
    return demonstration.restored(module_of(author), folder / CHECKPOINT, env, seed)


def _shipped(item: Assignment, env: str | None, seed: int) -> "Show | None":
    """Return what is shipped of a topic: its trained agent, or its film where an exercise lacks; None if nothing that plays there."""
    from npfl139 import demonstration
    from npfl139.runs import read_metadata

    if env is None and item.film.exists() and (exercise := _unwritten(item)) is not None:
        say(f"This is the reference, filmed: {exercise} is not written yet in {item.name}.py here.")
        return demonstration.filmed(item.film, item.name)
    if item.checkpoint.exists() and env in (None, read_metadata(item.checkpoint).get("environment")):
        return demonstration.restored(module_of(item.name, item.program), item.checkpoint, env, seed)
    return None


def _unwritten(item: Assignment) -> str | None:
    """Return the first exercise that lacks where there is no solution, of the file that has the topic's name, or of the skeleton."""
    from npfl139.examples import is_written

    module = module_of(item.name, item.program)
    return next((exercise for exercise in item.points if not is_written(vars(module), exercise)), None)


def _expect_films(gif: Path | None, mp4: Path | None) -> None:
    for suffix, path in ((".gif", gif), (".mp4", mp4)):
        if path is not None:
            if path.suffix.lower() != suffix:
                raise UserError(f"the name of the film must end in {suffix}: --{suffix[1:]} {path.with_suffix(suffix)}")
            expect_folder(path)


def _expect_picture(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise UserError(f"the name of the picture must end in .png, .pdf or .svg: --out {path.with_suffix('.png')}")
    expect_folder(path)
