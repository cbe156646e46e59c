"""Puts a student's exercises into the given code of the assignment, so that what is trained for marks is what the student had to write.

Of a submission stay the exercises, and the helpers, imports and constants that they use, directly or through others. They run in a
namespace of their own that starts with the names of the given code: a helper called `train`, `Agent` or `range` changes
nothing outside the student's exercises. All is decided by reading the code; the worker only executes what was kept.
"""

import ast
import copy
import dis
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType

from grader.contract.spec import Topic, Training
from grader.contract.stubs import last_line, make_skeleton
from grader.contract.student import Student, StudentError

__all__ = ["Graft", "graft", "needs"]

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.TryStar, ast.Match)
PARTS_OF_BLOCKS = (ast.Break, ast.Continue, ast.Raise, ast.Import, ast.ImportFrom)  # they stay where the block around them stays
NAMES_TOLD = 5


@dataclass(frozen=True)
class Graft:
    """A submission made ready for training."""

    given: str  # the assignment, its exercises stubs
    exercises: tuple[str, ...]
    source: str  # the submission, in which every statement that no exercise uses does nothing; its lines keep their numbers
    left_out: tuple[str, ...]  # given definitions that the student changed

    @property
    def note(self) -> str | None:
        """The sentence that tells the student what was left out."""
        if not self.left_out:
            return None
        names = ", ".join(f"`{name}`" for name in self.left_out[:NAMES_TOLD])
        more = f" and {len(self.left_out) - NAMES_TOLD} more" if len(self.left_out) > NAMES_TOLD else ""
        return f"your own version of {names}{more} was left out: training runs on the assignment's given code"

    def plant(self, student: Student, filename: str) -> None:
        """Put the exercises into the given code, which the student has loaded.

        Raises:
            StudentError: what was kept of the submission does not run.
        """
        student.request("graft", source=self.source, filename=filename, exercises=list(self.exercises))


def graft(topic: Topic, source: str) -> Graft:
    """Return the graft of a submission's source, which Python can parse.

    Raises:
        StudentError: Python's compiler refuses the source.
    """
    given, program = _given(topic.solution, topic.exercises)
    try:
        submission = _Program(source)
        kept = _kept(submission, program, topic.exercises)
        return Graft(given, topic.exercises, _without(source, submission.dropped(kept)), _changed(submission, program, topic))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise StudentError("crashed", f"the file cannot be prepared for training: {type(error).__name__}") from error


@cache
def _given(solution: Path, exercises: tuple[str, ...]) -> "tuple[str, _Program]":
    """Return the given code of an assignment, as text and taken apart."""
    text = make_skeleton(solution.read_text(), exercises)
    return text, _Program(text)


@dataclass(eq=False)
class _Unit:
    """A statement of the module or of one of its blocks, or the header of a block or class, and what it does to the module's names."""

    node: ast.stmt
    around: "tuple[_Unit, ...]"  # the headers of the blocks that it is in
    binds: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)  # global names, also inside its functions
    assigns: set[str] = field(default_factory=set)  # names of objects of which it sets attributes or items: `table[0] = 1`, `f.x = 1`
    changes: set[str] = field(default_factory=set)  # names of objects that it may change in any way, `table.append(1)` included
    attributes: set[str] = field(default_factory=set)  # names after a dot
    sets_globals: set[str] = field(default_factory=set)  # by `global`, when its functions run
    calls: str | None = None  # the name of the function, when the statement is a call

    @property
    def name(self) -> str:
        """The name of a class; nothing otherwise."""
        return self.node.name if isinstance(self.node, ast.ClassDef) else ""

    def __post_init__(self):
        if isinstance(self.node, ast.Break | ast.Continue) or _is_string(self.node):
            return  # compiled alone, a jump is an error and a string a docstring
        part = _header(self.node) if _is_block(self.node) else self.node
        code = compile(ast.Module([part], []), "", "exec", dont_inherit=True)
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("STORE_NAME", "STORE_GLOBAL", "DELETE_NAME"):
                self.binds.add(instruction.argval)
        for instruction in _instructions(code):
            if instruction.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
                self.uses.add(instruction.argval)
            if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                self.sets_globals.add(instruction.argval)
        self.uses |= self.sets_globals
        self.attributes = {node.attr for node in ast.walk(part) if isinstance(node, ast.Attribute)}
        if not isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.assigns = {_root(node) for node in _assigned(part)}
            self.changes = set(self.assigns)
        if isinstance(self.node, ast.Expr) and isinstance(self.node.value, ast.Call):
            function = self.node.value.func
            if isinstance(function, ast.Name):
                self.calls = function.id
            else:
                self.changes.add(_root(function))


class _Program:
    """The statements of a module, those inside `if`, `try`, `with` and loops and the members of classes one by one."""

    def __init__(self, source: str):
        self.body = ast.parse(source).body
        self.units = list(self._units(self.body, ()))
        self.imported = {name for unit in self.units if isinstance(unit.node, ast.Import | ast.ImportFrom) for name in unit.binds}

    def _units(self, body: list[ast.stmt], around: tuple[_Unit, ...]) -> Iterator[_Unit]:
        for node in body:
            unit = _Unit(node, around)
            yield unit
            for block in _blocks(node):
                yield from self._units(block, (*around, unit))

    def binding(self, name: str) -> list[_Unit]:
        """Return the statements that bind the global name."""
        return [unit for unit in self.units if name in unit.binds and not _is_member(unit)]

    def names(self) -> set[str]:
        return {name for unit in self.units if not _is_member(unit) for name in unit.binds}

    def members(self, name: str) -> dict[str, ast.stmt]:
        """Return the members of a class by name, the last of each."""
        units = [unit for unit in self.units if _is_member(unit) and unit.around[-1].name == name]
        return {member: unit.node for unit in units for member in unit.binds}

    def dropped(self, kept: set[_Unit]) -> list[ast.stmt]:
        """Return the outermost statements that are not kept, in order."""
        return [unit.node for unit in self.units if unit not in kept and all(outer in kept for outer in unit.around)]


def _kept(submission: _Program, given: _Program, exercises: Iterable[str]) -> set[_Unit]:
    """Return the statements that bind or change an exercise or, transitively, what these use."""
    exercises = set(exercises)
    needed = {exercise.split(".")[0] for exercise in exercises}
    protected = given.names() - needed
    classes = {exercise.split(".")[0]: given.members(exercise.split(".")[0]).keys() for exercise in exercises if "." in exercise}
    attributes: set[str] = set()
    kept = {unit for unit in submission.units if _is_preamble(unit, submission)}

    def is_needed_member(unit: _Unit) -> bool:
        owner = unit.around[-1].name
        if owner not in classes:
            return unit.around[-1] in kept
        its_own = unit.binds - classes[owner]
        return bool({f"{owner}.{member}" for member in unit.binds} & exercises or its_own & (attributes | needed))

    def is_needed(unit: _Unit) -> bool:
        if _is_member(unit):
            return is_needed_member(unit)
        if isinstance(unit.node, PARTS_OF_BLOCKS) and unit.around and unit.around[-1] in kept:
            return True
        if unit.name in classes:
            return False  # it stays for the sake of its members only
        if unit.assigns & classes.keys() and not _assigned_members(unit, classes) <= exercises:
            return False
        called = {name for one in submission.binding(unit.calls) for name in one.sets_globals} if unit.calls else set()
        return bool((unit.binds | (unit.changes - submission.imported) | called) & needed)

    while grown := {unit for unit in submission.units if unit not in kept and is_needed(unit)}:
        for unit in grown:
            for part in (unit, *unit.around):
                kept.add(part)
                needed |= part.uses - protected
                attributes |= part.attributes
    return kept


def _changed(submission: _Program, given: _Program, topic: Topic) -> tuple[str, ...]:
    """Return the given definitions that the submission has in another version, in the order of the assignment."""
    tops = {exercise.split(".")[0] for exercise in topic.exercises}
    found = []
    for name in dict.fromkeys(name for unit in given.units if not unit.around for name in sorted(unit.binds)):
        theirs, ours = submission.binding(name), given.binding(name)
        if name in topic.exercises or name in given.imported:
            continue
        if name in tops:
            members = submission.members(name)
            found += [
                f"{name}.{member}"
                for member, node in given.members(name).items()
                if f"{name}.{member}" not in topic.exercises and member in members and _text(members[member]) != _text(node)
            ]
            continue
        is_other = theirs and [_text(one.node) for one in theirs] != [_text(one.node) for one in ours]
        if is_other or any(name in unit.assigns for unit in submission.units):
            found.append(name)
    return tuple(found)


def needs(topic: Topic, training: Training) -> tuple[str, ...]:
    """Return the exercises that a training check uses: those that the check itself calls, and those that the given code it calls uses.

    It is read off the code: a class counts with all its methods, an exercise as the stub that it is in the given code. Which
    of two branches a check enters cannot be read off; what only the other one uses is the check's `unreached`.
    """
    _, given = _given(topic.solution, topic.exercises)
    waiting, seen = list(_asked_for(training.attempt) & given.names()), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        units = [unit for unit in given.units if name in unit.binds and not _is_member(unit)]
        units += [unit for unit in given.units if _is_member(unit) and unit.around[-1].name == name]
        waiting += {used for unit in units for used in unit.uses} & given.names()
    return tuple(exercise for exercise in topic.exercises if exercise.split(".")[0] in seen and exercise not in training.unreached)


def _asked_for(attempt: Callable[..., object]) -> set[str]:
    """Return every name that an attempt, or a function of its module that it uses, may ask of the submission."""
    found, waiting, seen = set[str](), [attempt], set[Callable[..., object]]()
    while waiting:
        function = waiting.pop()
        seen.add(function)
        instructions = list(_instructions(function.__code__))
        found |= {one.argval for one in instructions if one.opname in ("LOAD_ATTR", "LOAD_METHOD")}
        found |= {one.argval for one in instructions if one.opname == "LOAD_CONST" and isinstance(one.argval, str)}
        used = [function.__globals__.get(one.argval) for one in instructions if one.opname == "LOAD_GLOBAL"]
        waiting += [one for one in used if isinstance(one, FunctionType) and one.__module__ == attempt.__module__ and one not in seen]
    return found


def _is_block(node: ast.stmt) -> bool:
    return isinstance(node, (*COMPOUND, ast.ClassDef))


def _is_member(unit: _Unit) -> bool:
    return any(isinstance(outer.node, ast.ClassDef) for outer in unit.around)


def _is_preamble(unit: _Unit, program: _Program) -> bool:
    """Return whether the statement stays whatever is used: the docstring, `from __future__` and `from ... import *`."""
    if isinstance(unit.node, ast.ImportFrom):
        return not unit.around and (unit.node.module == "__future__" or unit.node.names[0].name == "*")
    return unit.node is program.body[0] and _is_string(unit.node)


def _is_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Yield the lists of statements directly in a block or class."""
    if not _is_block(node):
        return
    for name in BLOCKS:
        parts = getattr(node, name, [])
        if parts and isinstance(parts[0], ast.ExceptHandler | ast.match_case):
            yield from (part.body for part in parts)
        elif parts:
            yield parts


def _header(node: ast.stmt) -> ast.stmt:
    """Return the block or class with nothing in it."""
    header = copy.copy(node)
    empty = ast.copy_location(ast.Pass(), node)
    for name in BLOCKS:
        parts = getattr(node, name, [])
        if parts and isinstance(parts[0], ast.ExceptHandler | ast.match_case):
            parts = [copy.copy(part) for part in parts]
            for part in parts:
                part.body = [empty]
            setattr(header, name, parts)
        elif parts:
            setattr(header, name, [empty])
    return header


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    """Yield the instructions of the code and of all functions and classes in it."""
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)


def _assigned(node: ast.AST) -> list[ast.Attribute | ast.Subscript]:
    """Return the attributes and items that are assigned or deleted, `setattr(owner, "name", value)` included."""
    found = [one for one in ast.walk(node) if isinstance(one, ast.Attribute | ast.Subscript) and not isinstance(one.ctx, ast.Load)]
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "setattr" and len(call.args) == 3:
            owner, name, _ = call.args
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                found.append(ast.Attribute(owner, name.value, ast.Store()))
    return found


def _assigned_members(unit: _Unit, classes: Iterable[str]) -> set[str]:
    """Return what the statement assigns in the classes, as `Class.member`; an item counts as the member that it is in."""
    assigned = [node for node in _assigned(unit.node) if _root(node) in classes]
    return {f"{_root(node)}.{node.attr}" if isinstance(node, ast.Attribute) else _root(node) for node in assigned}


def _root(node: ast.expr) -> str:
    """Return the name that an expression such as `a.b[0]` starts with; nothing where it starts with none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.stmt) -> str:
    """Return the code of a definition, with neither docstrings nor layout."""
    bare = copy.deepcopy(node)
    for one in ast.walk(bare):
        if isinstance(one, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(one, clean=False) is not None:
            one.body = one.body[1:] or [ast.Pass()]
    return ast.dump(bare)


def _without(source: str, dropped: list[ast.stmt]) -> str:
    """Return the source with each of the statements replaced by `()`, an empty tuple, spread over as many lines."""
    lines = [line.encode() for line in source.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    for node in reversed(dropped):
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda part: part.lineno)
        start, column = first.lineno - 1, node.col_offset
        end = last_line(node) - 1
        tail = lines[end][node.end_col_offset :]
        head = lines[start][:column]
        lines[start : end + 1] = [head + b"()" + tail] if start == end else [head + b"(", *[b""] * (end - start - 1), b")" + tail]
    return b"\n".join(lines).decode()
