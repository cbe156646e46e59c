"""Runs the cells of a lecture one after the other, and keeps what each showed: what it printed, and its figures."""

import ast
import base64
import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from npfl139.examples import missing_exercise

__all__ = ["Shown", "from_json", "run", "to_json"]

CROWD = 500  # markers of one line that are drawn as pixels: as shapes they would make a figure large
DRAWING: dict[Any, Any] = {"svg.hashsalt": "lecture", "svg.fonttype": "path", "savefig.dpi": 150}  # the same figure is the same file


@dataclass(frozen=True)
class Shown:
    """What came of one cell."""

    printed: str = ""
    figures: tuple[bytes, ...] = ()  # SVG
    words: tuple[str, ...] = ()  # what is in each, for who cannot see it
    missing: str = ""  # the exercise that is not written yet, for want of which the cell shows nothing
    problem: str = ""  # a sentence: why the cell shows nothing, or no more

    @property
    def is_whole(self) -> bool:
        return not self.missing and not self.problem


def run(
    cells: Sequence[str], place: Callable[[BaseException], str] = lambda error: "", finished: Callable[[int], None] = lambda number: None
) -> list[Shown]:
    """Run all cells in one namespace; return what each showed. What one raises is told, and the next one runs.

    Ctrl-C stops the cell that runs, and all that follow.

    Args:
        cells: Python; what a cell shows is what it prints and draws. The value of its last line is not shown.
        place: says of an exception where in the reader's file it was raised, `, in line 3 of ppo.py: x = y`, or nothing.
        finished: is told how many cells are done.
    """
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    show, pyplot.show = pyplot.show, lambda *arguments, **options: None  # a figure is kept, not shown in a window
    try:
        with pyplot.rc_context():
            return list(_run(cells, place, finished))
    finally:
        pyplot.show = show


def _run(cells: Sequence[str], place: Callable[[BaseException], str], finished: Callable[[int], None]) -> Iterator[Shown]:
    scope: dict[str, Any] = {"__name__": "lecture"}
    lost: set[str] = set()  # what cells would have defined that did not come to their end
    interrupted = False
    for number, cell in enumerate(cells, 1):
        if interrupted:
            yield Shown(problem="It was not run, because you interrupted a cell before it.")
            continue
        printed = io.StringIO()
        missing, problem = "", ""
        figures: tuple[bytes, ...] = ()
        words: tuple[str, ...] = ()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(cell, f"<cell {number}>", "exec"), scope)
                figures, words = _pictures(), _described()
        except KeyboardInterrupt as error:
            problem, interrupted = f"You interrupted it{place(error)}", True
        except (Exception, SystemExit) as error:
            missing = missing_exercise(error) or ""
            problem = "" if missing else _problem(error, lost, place)
        finally:
            _close()
        if missing or problem:
            lost |= _defined(cell)
        yield Shown(printed.getvalue(), figures, words, missing, problem)
        finished(number)


def _problem(error: BaseException, lost: set[str], place: Callable[[BaseException], str]) -> str:
    if isinstance(error, NameError) and error.name in lost:
        return f"It needs {error.name} of a cell above, which did not come to its end."
    return (f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) + place(error)


def _pictures() -> tuple[bytes, ...]:
    from matplotlib import pyplot

    files = []
    for figure in map(pyplot.figure, pyplot.get_fignums()):
        for line in (line for axes in figure.axes for line in axes.lines):
            line.set_rasterized(line.get_marker() not in ("None", None, "", " ") and np.size(line.get_xdata()) > CROWD)
        files.append(io.BytesIO())
        with pyplot.rc_context(DRAWING):
            figure.savefig(files[-1], format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None, "Creator": None})
    return tuple(file.getvalue() for file in files)


def _described() -> tuple[str, ...]:
    """Return of each open figure what its panels show, by their titles, axes and legends."""
    from matplotlib import pyplot

    return tuple("; ".join(filter(None, map(_panel, pyplot.figure(number).axes))) or "a drawing" for number in pyplot.get_fignums())


def _panel(axes: Any) -> str:
    across, up, legend = axes.get_xlabel(), axes.get_ylabel(), axes.get_legend()
    words = [axes.get_title(), f"{up} over {across}" if up and across else up or (across and f"over {across}")]
    words.append(", ".join(text.get_text() for text in (legend.get_texts() if legend else axes.texts) if text.get_text()))
    return ": ".join(" ".join(word.split()) for word in words if word)


def _close() -> None:
    from matplotlib import pyplot

    pyplot.close("all")


def _defined(cell: str) -> set[str]:
    """Return the names that a cell gives values to, functions included."""
    try:
        tree = ast.parse(cell)
    except SyntaxError:
        return set()
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return names | {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}


def to_json(shown: Shown) -> dict[str, Any]:
    """Return what a cell showed as JSON can hold it."""
    return asdict(shown) | {"figures": [base64.b64encode(figure).decode() for figure in shown.figures]}


def from_json(entry: dict[str, Any]) -> Shown:
    """Return what `to_json` was given.

    Raises:
        KeyError, TypeError, ValueError: it was something else.
    """
    figures = tuple(base64.b64decode(figure, validate=True) for figure in entry["figures"])
    return Shown(**entry | {"figures": figures, "words": tuple(entry["words"])})
