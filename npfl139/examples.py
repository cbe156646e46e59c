"""Runs the public examples of an assignment on a student's file, in this process, and says in plain words what happened."""

import ast
import contextlib
import dataclasses
import doctest
import io
import linecache
import sys
import traceback
import types
from dataclasses import dataclass
from pathlib import Path

from npfl139.catalogue import Assignment
from npfl139.modules import define
from npfl139.source import Source, read_source

__all__ = ["LoadError", "Outcome", "check_examples", "indented", "load_module", "missing_exercise"]

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
    printed: str = ""  # by the code, apart from results


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
    return _Run(exercise, module, source).outcome(test)


class _Run:
    """Runs the examples of one exercise, and words their first failure for its author.

    Unlike `doctest` it compares the value of an example apart from what was printed on the way to it: a `print` that was left from
    debugging is no mistake.
    """

    def __init__(self, exercise: str, module: types.ModuleType, source: Source):
        self.exercise, self.module, self.source = exercise, module, source

    def outcome(self, test: doctest.DocTest) -> Outcome:
        printed = ""
        for number, example in enumerate(test.examples, 1):
            came = _executed(example, test.globs)
            printed += came.printed
            if not came.is_wanted(example):
                return dataclasses.replace(self.failure(came, test.examples[:number]), printed=printed)
        return Outcome(self.exercise, "passed", _counted(sum(bool(example.want) for example in test.examples)), printed=printed)

    def failure(self, came: "_Came", examples: list[doctest.Example]) -> Outcome:
        """Return what to say of the last one of the examples."""
        *earlier, example = examples
        exercise = missing_exercise(came.error)
        if exercise == self.exercise:
            return Outcome(self.exercise, "missing", "not implemented yet")
        if exercise is not None and _is_defined(self.module, exercise):
            return Outcome(self.exercise, "blocked", f"blocked by {exercise}, which is not implemented yet")
        code = [line.source.rstrip("\n").replace("\n", "\n... ") for line in [*(line for line in earlier if not line.want), example]]
        shown = "".join(f">>> {line}\n" for line in code)
        if came.error is not None:
            raised = f"raised {_explained(came.error, str(self.module.__file__), self.source)}"
            return Outcome(self.exercise, "failed", type(came.error).__name__, shown + raised)
        expected, got = indented(example.want or "no output"), indented(came.output or "no output")
        return Outcome(self.exercise, "failed", "another result", f"{shown}expected\n{expected}\ngot\n{got}")


@dataclass(frozen=True)
class _Came:
    """What came of one example."""

    output: str  # what Python shows of the value; of a statement without a value what it printed
    printed: str  # what was printed besides
    error: BaseException | None

    def is_wanted(self, example: doctest.Example) -> bool:
        flags = sum(flag for flag, is_on in example.options.items() if is_on)
        if self.error is None:
            return doctest.OutputChecker().check_output(example.want, self.output, flags)
        last_line = traceback.format_exception_only(self.error)[-1]
        return example.exc_msg is not None and doctest.OutputChecker().check_output(example.exc_msg, last_line, flags)


def _executed(example: doctest.Example, names: dict) -> _Came:
    values, printed, error = io.StringIO(), io.StringIO(), None
    displayhook = sys.displayhook
    sys.displayhook = lambda value: None if value is None else print(repr(value), file=values)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(example.source, "<example>", "single", dont_inherit=True), names)
    except (Exception, SystemExit) as raised:
        error = raised
    finally:
        sys.displayhook = displayhook
    if values.getvalue() or not example.want:
        return _Came(values.getvalue(), printed.getvalue(), error)
    return _Came(printed.getvalue(), "", error)


def missing_exercise(error: BaseException | None) -> str | None:
    """Return the exercise that a stub was left for, None if the error is another, such as torch's own NotImplementedError.

    >>> missing_exercise(NotImplementedError("Moments.update")), missing_exercise(NotImplementedError("not for sparse tensors"))
    ('Moments.update', None)
    """
    if not isinstance(error, NotImplementedError) or not all(name.isidentifier() for name in str(error).split(".")):
        return None
    return str(error)


def _explained(error: BaseException, filename: str, source: Source) -> str:
    """Return one sentence: where in the student's file, the line itself, what happened."""
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
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
    functions: dict[str, ast.FunctionDef] = {}
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


def indented(text: str) -> str:
    """Return the first lines of a text, moved to the right, and how many are left out."""
    lines = text.rstrip("\n").split("\n")
    omitted = [f"... and {len(lines) - MAX_SHOWN_LINES} more lines"] if len(lines) > MAX_SHOWN_LINES else []
    return "\n".join(f"    {line}" for line in [*lines[:MAX_SHOWN_LINES], *omitted])
