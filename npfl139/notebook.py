"""Jupyter: exercises checked as they stand in the running notebook, missing ones told in a sentence, curves drawn while a training runs."""

import sys
from collections.abc import Sequence
from typing import Any

from npfl139 import command
from npfl139.catalogue import Assignment, assignments
from npfl139.checking import Report
from npfl139.examples import check_functions, missing_exercise
from npfl139.terminal import suggested

__all__ = ["check", "extend"]


def check(exercises: Sequence[str]) -> Report:
    """See `npfl139.check`."""
    shell = _shell()
    names = shell.user_ns
    known = list(assignments().values())
    every = [exercise for item in known for exercise in item.points]
    for exercise in exercises:
        if exercise not in every:
            raise ValueError(f"there is no exercise {exercise!r}; {suggested(exercise, every)}")
    candidates = [item for item in known if set(exercises) <= item.points.keys()]
    item = max(candidates, key=lambda item: _share_defined(item, names), default=None)
    if item is None or not _share_defined(item, names):
        raise ValueError(
            "this notebook defines no exercise: run the cells with their functions first, or begin with "
            + command("start", "TOPIC", "--notebook")
        )
    outcomes = check_functions(item, names, lambda file, line: _place(shell, file, line), exercises or None)
    return Report(item.name, tuple(outcomes), "Next: train, and hand in." if item.has_agent else "Next: hand in.")


def extend(shell: Any) -> None:
    """Show what an exercise that is not written yet keeps from running as one sentence, in place of a traceback."""

    def explain(shell: Any, kind: type, error: BaseException, trace: Any, tb_offset: int | None = None) -> None:
        exercise = missing_exercise(error)
        if exercise is None:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        else:
            print(f"{exercise} is not implemented yet: write it in its cell, run that cell, then this one again.", file=sys.stderr)

    shell.set_custom_exc((NotImplementedError,), explain)


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()


def _share_defined(item: Assignment, names: dict) -> float:
    return sum(exercise.split(".")[0] in names for exercise in item.points) / len(item.points)


def _place(shell: Any, file: str, line: int) -> str | None:
    cell = shell.compile.format_code_name(file)
    return f"cell {cell[1].removeprefix('In')}, line {line}" if cell else None
