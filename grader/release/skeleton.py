"""Makes the notebook of an assignment from its source, and tells which lines of the solution no student may see."""

import ast
import hashlib
import re
from collections.abc import Iterator, Sequence

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from grader.contract.stubs import definitions, last_line, make_skeleton

__all__ = ["make_notebook", "make_skeleton", "removed_lines"]

LABEL = re.compile(r"\[(\w+:[\w-]+)\]")  # what a docstring cites of its lecture


def removed_lines(source: str, exercises: Sequence[str]) -> list[str]:
    """Return the lines of code that `make_skeleton` removes, stripped of indentation and comments."""
    lines = source.split("\n")
    return [
        line
        for node in definitions(source, exercises).values()
        for statement in node.body[1:]
        for line in _code("\n".join(lines[statement.lineno - 1 : statement.end_lineno]))
    ]


def make_notebook(source: str, exercises: Sequence[str] = (), lecture: str = "") -> str:
    """Return the text of the notebook made of the `# %%` cells: valid, without outputs, the same bytes on every call.

    Every exercise gets a cell of its own, before it the equation that its docstring cites, after it one that checks it.

    Args:
        lecture: MyST Markdown that holds the equations by their labels; of one that it lacks nothing is shown.
    """
    notebook = jupytext.reads(source, fmt="py:percent")
    cells = [new for cell in notebook.cells for new in _apart(cell, exercises, lecture)]
    if exercises:
        first_code = next(index for index, cell in enumerate(cells) if cell.cell_type == "code")
        cells.insert(first_code, new_code_cell("%load_ext npfl139\nimport npfl139"))
    for position, cell in enumerate(cells):
        cell["id"] = hashlib.sha256(f"{position} {cell.cell_type}".encode()).hexdigest()[:8]
    notebook.cells = cells
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def _apart(cell: NotebookNode, exercises: Sequence[str], lecture: str) -> Iterator[NotebookNode]:
    """Yield the cell, divided so that each definition that holds exercises stands alone, between what belongs to it."""
    if cell.cell_type != "code":
        yield cell
        return
    lines, done = cell.source.split("\n"), 0
    for node in ast.parse(cell.source).body:
        inside = {name: docstring for name, docstring in _docstrings(node).items() if name in exercises}
        if not inside:
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))]) - 1
        yield from _code_cells(lines[done:first])
        yield new_markdown_cell("\n\n".join(_told(name, docstring, lecture) for name, docstring in inside.items()))
        done = last_line(node)
        yield from _code_cells(lines[first:done])
        for name in inside:
            yield new_code_cell(f'npfl139.check("{name}")')
    yield from _code_cells(lines[done:])


def _code_cells(lines: Sequence[str]) -> Iterator[NotebookNode]:
    text = "\n".join(lines).strip("\n")
    if text:
        yield new_code_cell(text)


def _docstrings(node: ast.stmt) -> dict[str, str]:
    """Return the docstrings of the exercises that a statement may define: its own, or those of a class's methods."""
    members, prefix = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
    return {f"{prefix}{member.name}": ast.get_docstring(member) or "" for member in members if isinstance(member, ast.FunctionDef)}


def _told(exercise: str, docstring: str, lecture: str) -> str:
    """Return the heading of an exercise: its claim, and its equations, as the lecture typesets them if the claim cites it."""
    claim, *others = docstring.split("\n\n")
    equations = [equation for label in LABEL.findall(claim) if (equation := _equation(label, lecture))]
    equations = equations or [_typeset(part) for part in others[:1] if part.startswith("    ")]
    text = claim.replace("\n", " ").replace("*", r"\*")
    return "\n\n".join([f"### `{exercise}`", text, *(f"$$\n{equation}\n$$" for equation in equations)])


def _typeset(formula: str) -> str:
    """Return a formula of a docstring in TeX, which knows Greek letters as they are.

    >>> _typeset("    L = mean over B of (V - G),    p = Σ_a q_a")
    'L = \\\\mathrm{mean}\\\\ \\\\mathrm{over}\\\\ B\\\\ \\\\mathrm{of}\\\\ (V - G),\\\\qquad p = \\\\sum_a q_a'
    """
    text = re.sub(r"[A-Za-z]{2,}", r"\\mathrm{\g<0>}", re.sub(r"\s+", lambda gap: " " if len(gap[0]) == 1 else "  ", formula.strip()))
    text = re.sub(r"(?<=}) (?=[\w(\\Â])|(?<=[\w)]) (?=\\mathrm)", r"\\ ", text)
    return text.replace("  ", r"\qquad ").replace("Σ", r"\sum").replace("ᵀ", "^T")


def _equation(label: str, lecture: str) -> str:
    match = re.search(rf"```{{math}}\n:label: {re.escape(label)}\n(.*?)\n```", lecture, re.DOTALL)
    return match[1].strip(" \n.,") if match else ""


def _code(text: str) -> list[str]:
    lines = (line.split("  #")[0].strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]
