"""Makes the skeleton of an assignment, and its notebook, from the solution: the solution is the only source."""

import ast
import hashlib
from collections.abc import Sequence

import jupytext
import nbformat

__all__ = ["make_notebook", "make_skeleton", "removed_lines"]

Exercise = ast.FunctionDef


def make_skeleton(source: str, exercises: Sequence[str]) -> str:
    """Return the solution with the body of every exercise after its docstring replaced by a stub.

    Every other byte stays, decorators and imports that only the solution needs included. Comments inside a body go.

    Raises:
        ValueError: an exercise is missing, defined twice, nested, without a docstring, or shares a line with other code.
    """
    lines = source.split("\n")
    for name, node in sorted(_exercises(source, exercises).items(), key=lambda item: -item[1].lineno):
        docstring = node.body[0]
        kept = lines[docstring.end_lineno - 1].encode()[: docstring.end_col_offset].decode()
        stub = f'{" " * docstring.col_offset}raise NotImplementedError("{name}")'
        lines[docstring.end_lineno - 1 : _end(lines, node)] = [kept, stub]
    return "\n".join(lines)


def removed_lines(source: str, exercises: Sequence[str]) -> list[str]:
    """Return the lines of code that `make_skeleton` removes, stripped of indentation and comments."""
    lines = source.split("\n")
    return [
        line
        for node in _exercises(source, exercises).values()
        for statement in node.body[1:]
        for line in _code("\n".join(lines[statement.lineno - 1 : statement.end_lineno]))
    ]


def make_notebook(source: str) -> str:
    """Return the text of the notebook made of the `# %%` cells: valid, without outputs, the same bytes on every call."""
    notebook = jupytext.reads(source, fmt="py:percent")
    for position, cell in enumerate(notebook.cells):
        cell["id"] = hashlib.sha256(f"{position} {cell.cell_type}".encode()).hexdigest()[:8]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def _exercises(source: str, names: Sequence[str]) -> dict[str, Exercise]:
    """Return the definitions of the exercises, each fit to be made a stub."""
    return {name: _checked(name, _definition(ast.parse(source), name)) for name in names}


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
    return found[0]


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
    end = node.end_lineno
    for number in range(end, len(lines)):
        text = lines[number].lstrip()
        if text and not (text.startswith("#") and len(lines[number]) - len(text) > node.col_offset):
            break
        if text:
            end = number + 1
    return end


def _code(text: str) -> list[str]:
    lines = (line.split("  #")[0].strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]
