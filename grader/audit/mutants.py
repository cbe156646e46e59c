"""Every first-order mutant of an exercise: the solution with one thing changed in one place."""

import ast
import difflib
import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from grader.audit.operators import Scope, of_expression, of_statement
from grader.contract.spec import span

__all__ = ["Mutant", "mutants_of"]

SHOWN = 72  # characters of a piece of code in an id
SEPARATOR = " · "
NOT_EVALUATED = ("annotation", "returns", "decorator_list", "targets", "target", "type_params")


@dataclass(frozen=True)
class Mutant:
    """A solution with one change in one exercise."""

    id: str  # exercise · kind · before → after · the statement; stays the same wherever the exercise moves in the file
    exercise: str
    line: int  # of the statement, in the solution
    description: str
    body: str  # the mutated exercise, as it stands in place of the original
    original: str  # the exercise in the same spelling, without its docstring

    def applied(self, source: str) -> str:
        """Return the solution's source with the exercise replaced; everything else keeps its bytes."""
        start, end = span(source, self.exercise)
        lines = source.splitlines(keepends=True)
        return "".join(lines[:start]) + self.body + "".join(lines[end:])

    @property
    def diff(self) -> str:
        """The lines that differ, with their surroundings."""
        before, after = (textwrap.dedent(text).splitlines() for text in (self.original, self.body))
        return "\n".join(list(difflib.unified_diff(before, after, lineterm="", n=1))[3:])


def mutants_of(source: str, exercise: str) -> list[Mutant]:
    """Return all first-order mutants of an exercise, in the order of the source; no two have equal syntax trees."""
    function = _function(source, exercise)
    original = _unparsed(function)
    seen, found = {original}, []
    counts: Counter[str] = Counter()
    for change in _changes(function):
        body = _unparsed(function)
        if body in seen or not _compiles(function):
            continue
        seen.add(body)
        what = change.before if change.after == "pass" else f"{change.before} → {change.after}"
        parts = [exercise, change.kind, _cut(what), *([_cut(change.statement)] if change.before != change.statement else [])]
        counts[SEPARATOR.join(parts)] += 1
        parts += [f"{count}"] if (count := counts[SEPARATOR.join(parts)]) > 1 else []
        description = f"{change.kind}: {what}"
        found.append(Mutant(SEPARATOR.join(parts), exercise, change.line, description, body, original))
    return found


class _Change(NamedTuple):
    kind: str
    statement: str  # in which the change is, as it was before
    line: int
    before: str
    after: str


def _function(source: str, exercise: str) -> ast.FunctionDef:
    """Return the exercise's tree, without docstring and decorators, which stand outside what is replaced."""
    scope = ast.parse(source).body
    for name in exercise.split("."):
        node = next(node for node in scope if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name)
        scope = node.body
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        del node.body[0]
    assert isinstance(node, ast.FunctionDef)  # an exercise is a function or a method
    node.decorator_list = []
    return node


def _changes(function: ast.FunctionDef) -> Iterator[_Change]:
    """Yield a change while the tree has it; the tree is whole again when the next is asked for."""
    for statement, holder, field, index, scope in _places(function):
        node = _get(holder, field, index)
        head = _head(statement)
        for kind, other in of_statement(node, scope) if isinstance(node, ast.stmt) else of_expression(node, scope):
            before = head if isinstance(node, ast.stmt) else ast.unparse(node)
            after = "; ".join(map(_head, other)) if isinstance(other, list) else ast.unparse(other)
            _set(holder, field, index, other)
            yield _Change(kind, head, statement.lineno, before, after)
            _unset(holder, field, index, other, node)


def _places(function: ast.FunctionDef) -> Iterator[tuple[ast.stmt, ast.AST, str, int | None, Scope]]:
    """Yield every statement, and every expression that is evaluated, with where it hangs in the tree."""

    def visit(node: ast.AST, statement: ast.stmt, names: tuple[str, ...], tensors: frozenset[str]) -> Iterator:
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            own = [argument for argument in [*node.args.args, *node.args.kwonlyargs] if argument.arg not in ("self", "cls")]
            names = tuple(dict.fromkeys([*names, *(argument.arg for argument in own)]))
            tensors = tensors | {argument.arg for argument in own if argument.annotation and ast.unparse(argument.annotation) == "Tensor"}
        for field, value in ast.iter_fields(node):
            if field in NOT_EVALUATED or isinstance(node, ast.JoinedStr) or _tells_the_kind_only(node):
                continue
            for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
                if not isinstance(child, ast.AST) or isinstance(child, ast.expr_context | ast.operator):
                    continue
                inner = child if isinstance(child, ast.stmt) else statement
                if isinstance(child, ast.stmt | ast.expr):
                    yield inner, node, field, index, Scope(names, tensors, node, field)
                if _spelled(child) is None:
                    yield from visit(child, inner, names, tensors)

    yield from visit(function, function, (), frozenset())


def _tells_the_kind_only(node: ast.AST) -> bool:
    """Return whether the node reads which kind of tensor something is, which is the same for all tensors of a call."""
    return isinstance(node, ast.Attribute) and node.attr in ("dtype", "device")


def _spelled(node: ast.AST) -> ast.AST | None:
    """Return the node if it is a signed number, which is changed as one."""
    is_signed = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    return node if is_signed else None


def _get(holder: ast.AST, field: str, index: int | None) -> ast.stmt | ast.expr:
    value = getattr(holder, field)
    return value if index is None else value[index]


def _set(holder: ast.AST, field: str, index: int | None, other: ast.AST | list[ast.stmt]) -> None:
    if index is None:
        setattr(holder, field, other)
    elif isinstance(other, list):
        getattr(holder, field)[index : index + 1] = other
    else:
        getattr(holder, field)[index] = other


def _unset(holder: ast.AST, field: str, index: int | None, other: ast.AST | list[ast.stmt], node: ast.AST) -> None:
    if index is None:
        setattr(holder, field, node)
    else:
        getattr(holder, field)[index : index + (len(other) if isinstance(other, list) else 1)] = [node]


def _compiles(function: ast.FunctionDef) -> bool:
    try:
        compile(_unindented(function), "<mutant>", "exec")
    except SyntaxError:
        return False
    return True


def _unindented(function: ast.FunctionDef) -> str:
    return ast.unparse(ast.fix_missing_locations(function))


def _unparsed(function: ast.FunctionDef) -> str:
    return textwrap.indent(_unindented(function), " " * function.col_offset) + "\n"


def _head(statement: ast.stmt) -> str:
    """Return the statement in its normal spelling; of a compound one, the first line."""
    return ast.unparse(ast.fix_missing_locations(statement)).split("\n")[0]


def _cut(text: str) -> str:
    """Return the text, or its start with a digest of all of it."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… {hashlib.sha256(text.encode()).hexdigest()[:6]}"
