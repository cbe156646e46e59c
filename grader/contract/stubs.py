"""The assignment that students get, made of the solution: every exercise becomes a stub, which says its name."""

import ast
from collections.abc import Sequence
from typing import cast

__all__ = ["definitions", "last_line", "make_skeleton"]

Exercise = ast.FunctionDef


def make_skeleton(source: str, exercises: Sequence[str]) -> str:
    """Return the solution with the body of every exercise after its docstring replaced by a stub.

    Every other byte stays, decorators and imports that only the solution needs included. Comments inside a body go.

    Raises:
        ValueError: an exercise is missing, defined twice, nested, without a docstring, or shares a line with other code.
    """
    lines = source.split("\n")
    for name, node in sorted(definitions(source, exercises).items(), key=lambda item: -item[1].lineno):
        docstring = node.body[0]
        end = last_line(docstring)
        kept = lines[end - 1].encode()[: docstring.end_col_offset].decode()
        stub = f'{" " * docstring.col_offset}raise NotImplementedError("{name}")'
        lines[end - 1 : _end(lines, node)] = [kept, stub]
    return "\n".join(lines)


def definitions(source: str, names: Sequence[str]) -> dict[str, Exercise]:
    """Return the definitions of the exercises, each fit to be made a stub."""
    return {name: _checked(name, _definition(ast.parse(source), name)) for name in names}


def last_line(node: ast.stmt) -> int:
    """Return the number, counted from 1, of the last line of a statement that was parsed."""
    assert node.end_lineno is not None  # only a statement made by hand has none
    return node.end_lineno


def _definition(module: ast.Module, name: str) -> Exercise:
    scope, path = module.body, name.split(".")
    if len(path) > 2:
        raise ValueError(f"the exercise {name} must be a top-level function or a method of a top-level class")
    for step, kind in zip(path, [ast.ClassDef] * (len(path) - 1) + [Exercise], strict=True):
        found = [node for node in scope if isinstance(node, kind) and node.name == step]
        if len(found) != 1:
            nested = any(isinstance(node, Exercise) and node.name == path[-1] for node in ast.walk(module))
            hint = "; an exercise is a top-level function, or a method of a top-level class named Class.method" if nested else ""
            raise ValueError(f"the solution defines the exercise {name} {len(found)} times, not once{hint}")
        scope = found[0].body
    return cast(Exercise, found[0])  # such is the last kind


def _checked(name: str, node: Exercise) -> Exercise:
    if ast.get_docstring(node) is None:
        raise ValueError(f"the exercise {name} has no docstring, which would be the assignment text")
    docstring = node.body[0]
    if len(node.body) == 1:
        raise ValueError(f"the exercise {name} has no body besides its docstring")
    if docstring.lineno == node.lineno or node.body[1].lineno == docstring.end_lineno:
        raise ValueError(f"the docstring of the exercise {name} must stand on lines of its own")
    return node


def _end(lines: Sequence[str], node: Exercise) -> int:
    """Return the number of the last line of the function, comments after its last statement included."""
    end = last_line(node)
    for number in range(end, len(lines)):
        text = lines[number].lstrip()
        if text and not (text.startswith("#") and len(lines[number]) - len(text) > node.col_offset):
            break
        if text:
            end = number + 1
    return end
