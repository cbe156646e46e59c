"""Runs the public examples of an assignment on a student's file, in this process, and says in plain words what happened."""

import ast
import doctest
import linecache
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

from npfl139.catalogue import Assignment
from npfl139.modules import define
from npfl139.source import Source, read_source

__all__ = ["LoadError", "Outcome", "check_examples", "load_module"]

MAX_SHOWN_LINES = 12


class LoadError(Exception):
    """The file cannot be run. The message is a sentence with the line at fault."""


@dataclass(frozen=True)
class Outcome:
    """What came of the examples of one exercise."""

    exercise: str
    status: str  # passed, failed, missing (not implemented yet, or not defined) or blocked
    summary: str  # a few words
    details: str = ""  # of the first failing example


def load_module(path: Path, name: str) -> tuple[types.ModuleType, Source]:
    """Run a program or notebook as the module `name`; return it and its source.

    Raises:
        OSError: the file cannot be read.
        npfl139.source.Unreadable: it is not Python.
        LoadError: it raises an exception.
    """
    source = read_source(path.read_bytes(), path.name)
    linecache.cache[str(path)] = (len(source.text), None, source.text.splitlines(keepends=True), str(path))
    try:
        return define(name, source.text, str(path)), source
    except (Exception, SystemExit) as error:
        hint = "; the grader has only what the assignment's own files import" if isinstance(error, ModuleNotFoundError) else ""
        raise LoadError(f"{path.name} cannot be run: {_explained(error, str(path), source)}{hint}") from error


def check_examples(assignment: Assignment, path: Path) -> list[Outcome]:
    """Return what comes of the examples of every exercise, in the order of the assignment.

    The examples are those of the assignment, so that an edited docstring changes nothing.

    Raises:
        OSError, npfl139.source.Unreadable, LoadError: as `load_module`.
    """
    module, source = load_module(path, assignment.name)
    docstrings = _docstrings(assignment.program.read_text(encoding="utf-8"))
    return [_outcome(exercise, docstrings.get(exercise, ""), module, source) for exercise in assignment.points]


def _outcome(exercise: str, docstring: str, module: types.ModuleType, source: Source) -> Outcome:
    if not _is_defined(module, exercise):
        return Outcome(exercise, "missing", "not defined")
    if _is_stub(source.text, exercise):
        return Outcome(exercise, "missing", "not implemented yet")
    test = doctest.DocTestParser().get_doctest(docstring, dict(vars(module)), exercise, module.__file__, 0)
    if not test.examples:
        return Outcome(exercise, "passed", "no public example")
    runner = _Runner(exercise, module, source)
    runner.run(test, out=lambda text: None)
    return runner.failure or Outcome(exercise, "passed", _counted(sum(bool(example.want) for example in test.examples)))


class _Runner(doctest.DocTestRunner):
    """Keeps the first failure of the examples of one exercise, worded for its author."""

    def __init__(self, exercise: str, module: types.ModuleType, source: Source):
        super().__init__(optionflags=doctest.FAIL_FAST)
        self.exercise, self.module, self.source, self.failure = exercise, module, source, None

    def report_failure(self, out: object, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        expected = example.want or "no output\n"
        self._failed("another result", test, example, f"expected\n{_indented(expected)}\ngot\n{_indented(got or 'no output')}")

    def report_unexpected_exception(self, out: object, test: doctest.DocTest, example: doctest.Example, exception: tuple) -> None:
        error = exception[1]
        if isinstance(error, NotImplementedError) and str(error) == self.exercise:
            self.failure = Outcome(self.exercise, "missing", "not implemented yet")
        elif isinstance(error, NotImplementedError) and _is_defined(self.module, str(error)):
            self.failure = Outcome(self.exercise, "blocked", f"blocked by {error}, which is not implemented yet")
        else:
            self._failed(type(error).__name__, test, example, f"raised {_explained(error, self.module.__file__, self.source)}")

    def _failed(self, summary: str, test: doctest.DocTest, example: doctest.Example, what: str) -> None:
        preparation = [earlier for earlier in test.examples[: test.examples.index(example)] if not earlier.want]
        code = [line.source.rstrip("\n").replace("\n", "\n... ") for line in [*preparation, example]]
        self.failure = Outcome(self.exercise, "failed", summary, "".join(f">>> {line}\n" for line in code) + what)


def _explained(error: BaseException, filename: str, source: Source) -> str:
    """Return one sentence: where in the student's file, the line itself, what happened."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if not lines:
        return what
    text = linecache.getline(filename, lines[-1]).strip()
    return f"{what}, in {source.locate(lines[-1])}: {text}"


def _docstrings(skeleton: str) -> dict[str, str]:
    """Return the docstrings of the functions and methods of a program by their names."""
    return {name: ast.get_docstring(node) or "" for name, node in _functions(skeleton).items()}


def _functions(text: str) -> dict[str, ast.FunctionDef]:
    """Return the top-level functions `f` and the methods `C.m` of top-level classes; the last of one name wins, as in Python."""
    functions = {}
    for node in ast.parse(text).body:
        scope, prefix = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
        functions |= {f"{prefix}{item.name}": item for item in scope if isinstance(item, ast.FunctionDef)}
    return functions


def _is_stub(text: str, exercise: str) -> bool:
    """Return whether the body is nothing but the `raise` of the skeleton."""
    node = _functions(text).get(exercise)
    body = [] if node is None else node.body[1:] if ast.get_docstring(node) is not None else node.body
    return [ast.unparse(statement) for statement in body] == [f"raise NotImplementedError({exercise!r})"]


def _is_defined(module: types.ModuleType, exercise: str) -> bool:
    owner = module
    for name in exercise.split("."):
        if not hasattr(owner, name):
            return False
        owner = getattr(owner, name)
    return True


def _counted(examples: int) -> str:
    return "1 example" if examples == 1 else f"{examples} examples"


def _indented(text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    omitted = [f"... and {len(lines) - MAX_SHOWN_LINES} more lines"] if len(lines) > MAX_SHOWN_LINES else []
    return "\n".join(f"    {line}" for line in [*lines[:MAX_SHOWN_LINES], *omitted])
