"""Runs the public examples of an assignment on a student's functions, in this process, and says in plain words what happened."""

import ast
import contextlib
import dataclasses
import doctest
import inspect
import io
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npfl139.catalogue import Assignment
from npfl139.equations import cited, equation_place
from npfl139.modules import define
from npfl139.source import Source, read_source

__all__ = [
    "NOT_DEFINED",
    "LoadError",
    "Outcome",
    "check_examples",
    "check_functions",
    "indented",
    "is_written",
    "load_module",
    "missing_exercise",
]

MAX_SHOWN_LINES = 12
NOT_DEFINED = "not defined"
Locate = Callable[[str, int], str | None]  # (file, line) -> where its author finds the line, None if it is not the author's


class LoadError(Exception):
    """The file cannot be run. The message is a sentence with the line at fault."""


@dataclass(frozen=True)
class Outcome:
    """What came of the examples of one exercise."""

    exercise: str
    status: str  # passed, failed, missing (not implemented yet, or not defined) or blocked
    summary: str  # a few words
    place: str = ""  # where the exercise is defined
    example: str = ""  # the first one that fails, with the lines that prepare it
    expected: str = ""
    got: str = ""
    raised: str = ""  # in place of a result: one sentence
    printed: str = ""  # by the code, apart from results
    cites: str = ""  # where the first equation that its docstring cites can be read

    @property
    def details(self) -> str:
        """What to show of it below a table, empty if there is nothing to say."""
        result = f"raised {self.raised}" if self.raised else f"expected\n{indented(self.expected)}\ngot\n{indented(self.got)}"
        parts = [f"{self.example}\n{result}"] if self.example else []
        parts += [f"it printed:\n{indented(self.printed)}"] if self.printed else []
        return "\n".join(parts)


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
        told = _explained(error, lambda file, line: source.locate(line) if file == str(path) else None)
        raise LoadError(f"{path.name} cannot be run: {told}{hint}") from error


def check_examples(assignment: Assignment, path: Path) -> list[Outcome]:
    """Return what comes of the examples of every exercise, in the order of the assignment.

    The examples are those of the assignment, so that an edited docstring changes nothing.

    Raises:
        OSError, npfl139.source.Unreadable, LoadError: as `load_module`.
    """
    module, source = load_module(path, assignment.name)
    return check_functions(assignment, vars(module), lambda file, line: source.locate(line) if file == str(path) else None)


def check_functions(assignment: Assignment, names: Mapping[str, Any], locate: Locate, chosen: Iterable[str] | None = None) -> list[Outcome]:
    """Return what comes of the examples of the chosen exercises, by default of all, where functions and classes have these names."""
    docstrings = _docstrings(assignment.program.read_text(encoding="utf-8"))
    exercises = assignment.points if chosen is None else chosen
    outcomes = [_Run(exercise, names, locate).outcome(docstrings.get(exercise, "")) for exercise in exercises]
    return [dataclasses.replace(outcome, cites=_cites(docstrings.get(outcome.exercise, ""))) for outcome in outcomes]


class _Run:
    """Runs the examples of one exercise, and words their first failure for its author.

    Unlike `doctest` it compares the value of an example apart from what was printed on the way to it: a `print` that was left from
    debugging is no mistake.
    """

    def __init__(self, exercise: str, names: Mapping[str, Any], locate: Locate):
        self.exercise, self.names, self.locate = exercise, names, locate
        self.code = _code_of(names, exercise)

    def outcome(self, docstring: str) -> Outcome:
        if not _is_defined(self.names, self.exercise):
            return Outcome(self.exercise, "missing", NOT_DEFINED)
        if _is_stub(self.code, self.exercise):
            return self._with("missing", "not implemented yet")
        test = doctest.DocTestParser().get_doctest(docstring, dict(self.names), self.exercise, None, 0)
        printed, number, total = "", 0, sum(bool(example.want) for example in test.examples)
        for index, example in enumerate(test.examples, 1):
            number += bool(example.want)
            came = _executed(example, test.globs)
            printed += came.printed
            if not came.is_wanted(example):
                which = f"example {max(1, number)} of {total}: " if total > 1 else ""
                return dataclasses.replace(self._failure(came, test.examples[:index], which), printed=printed)
        return self._with("passed", _counted(total) if test.examples else "no public example", printed=printed)

    def _failure(self, came: "_Came", examples: list[doctest.Example], which: str) -> Outcome:
        """Return what to say of the last one of the examples."""
        *earlier, example = examples
        exercise = missing_exercise(came.error)
        if exercise == self.exercise:
            return self._with("missing", "not implemented yet")
        if exercise is not None and _is_defined(self.names, exercise):
            return self._with("blocked", f"blocked by {exercise}, which is not implemented yet")
        code = [line.source.rstrip("\n").replace("\n", "\n... ") for line in [*(line for line in earlier if not line.want), example]]
        shown = "\n".join(f">>> {line}" for line in code)
        if came.error is not None:
            kind = type(came.error).__name__
            return self._with("failed", which + kind, example=shown, raised=_explained(came.error, self.locate))
        expected, got = example.want.rstrip("\n") or "no output", came.output.rstrip("\n") or "no output"
        return self._with("failed", which + "not as expected", example=shown, expected=expected, got=got)

    def _with(self, status: str, summary: str, **details: str) -> Outcome:
        place = self.locate(self.code.co_filename, self.code.co_firstlineno) if self.code else None
        return Outcome(self.exercise, status, summary, place or "", **details)


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
    values, printed = io.StringIO(), io.StringIO()
    error: BaseException | None = None
    displayhook = sys.displayhook
    sys.displayhook = lambda value: None if value is None else print(repr(value), file=values)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(example.source, "<example>", "single", dont_inherit=True), names)
    except (Exception, SystemExit) as raised:
        error = raised
    except KeyboardInterrupt as raised:  # ends what does not end by itself, and tells where it was
        raised.args = ("stopped by Ctrl-C",)
        error = raised
    finally:
        sys.displayhook = displayhook
    if values.getvalue() or error is not None or not example.want:
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


def _explained(error: BaseException, locate: Locate) -> str:
    """Return one sentence: what happened, where in the student's code, the line itself."""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        place = locate(frame.filename, frame.lineno or 0)
        if place is not None:
            return f"{what}, in {place}: {linecache.getline(frame.filename, frame.lineno or 0).strip()}"
    return what


def is_written(names: Mapping[str, Any], exercise: str) -> bool:
    """Return whether the exercise is defined under these names, and no stub any more."""
    return _is_defined(names, exercise) and not _is_stub(_code_of(names, exercise), exercise)


def _docstrings(skeleton: str) -> dict[str, str]:
    """Return the docstrings of the top-level functions `f`, and of the methods `C.m` of top-level classes, by their names."""
    found: dict[str, str] = {}
    for node in ast.parse(skeleton).body:
        scope, prefix = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
        found |= {f"{prefix}{item.name}": ast.get_docstring(item) or "" for item in scope if isinstance(item, ast.FunctionDef)}
    return found


def _cites(docstring: str) -> str:
    return next(filter(None, map(equation_place, cited(docstring))), "")


def _code_of(names: Mapping[str, Any], exercise: str) -> types.CodeType | None:
    """Return the code of a function or method, None of what is no plain function."""
    name, *path = exercise.split(".")
    function = names.get(name)
    for part in path:
        function = getattr(function, part, None)
    return getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)


def _is_stub(code: types.CodeType | None, exercise: str) -> bool:
    """Return whether the code does nothing but raise, as the stub of the exercise."""
    return code is not None and code.co_names == ("NotImplementedError",) and exercise in code.co_consts


def _is_defined(names: Mapping[str, Any], exercise: str) -> bool:
    name, *path = exercise.split(".")
    if name not in names:
        return False
    owner = names[name]
    for part in path:
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True


def _counted(examples: int) -> str:
    return "1 example" if examples == 1 else f"{examples} examples"


def indented(text: str) -> str:
    """Return the first lines of a text, moved to the right, and how many are left out."""
    lines = text.rstrip("\n").split("\n")
    omitted = [f"... and {len(lines) - MAX_SHOWN_LINES} more lines"] if len(lines) > MAX_SHOWN_LINES else []
    return "\n".join(f"    {line}" for line in [*lines[:MAX_SHOWN_LINES], *omitted])
