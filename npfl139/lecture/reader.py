"""A reader's own file in the place of the solution: the cells of a lecture say `from solutions.ppo import ...`, and get it."""

import contextlib
import importlib
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path

from npfl139.catalogue import Assignment
from npfl139.examples import load_module

__all__ = ["lent"]


@contextlib.contextmanager
def lent(path: Path, assignment: Assignment) -> Iterator[Callable[[BaseException], str]]:
    """Let imports of the topic's solution give the file, as long as the context lasts; give what tells where in it an error arose.

    What the file has lost of the exercises counts as not written.

    Raises:
        OSError, npfl139.source.Unreadable, npfl139.examples.LoadError: as `npfl139.examples.load_module`.
    """
    name = f"solutions.{assignment.name}"
    before = {known: sys.modules.get(known) for known in ("solutions", name)}
    try:
        try:
            importlib.import_module("solutions")  # that of earlier topics, where there are any
        except ModuleNotFoundError:
            package = types.ModuleType("solutions")
            package.__path__ = []
            sys.modules["solutions"] = package
        module, source = load_module(path, name)
        vars(module)["__getattr__"] = lambda wanted: _stub(wanted, assignment)
        package = sys.modules["solutions"]
        shadowed = vars(package).pop(assignment.name, None)

        def place(error: BaseException) -> str:
            lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            return f", in {source.locate(lines[-1])} of {path.name}: {linecache.getline(str(path), lines[-1]).strip()}" if lines else ""

        yield place
        if shadowed is not None:
            vars(package)[assignment.name] = shadowed
    finally:
        for known, was in before.items():
            if was is None:
                sys.modules.pop(known, None)
            else:
                sys.modules[known] = was


def _stub(name: str, assignment: Assignment) -> Callable:
    if name not in assignment.points:
        raise AttributeError(f"your file defines no {name}, which the assignment gives")

    def stub(*arguments: object, **options: object) -> None:
        raise NotImplementedError(name)

    return stub
