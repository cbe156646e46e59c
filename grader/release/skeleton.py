"""Makes the notebook of an assignment from its source, and tells which lines of the solution no student may see."""

import hashlib
from collections.abc import Sequence

import jupytext
import nbformat

from grader.contract.stubs import definitions, make_skeleton

__all__ = ["make_notebook", "make_skeleton", "removed_lines"]


def removed_lines(source: str, exercises: Sequence[str]) -> list[str]:
    """Return the lines of code that `make_skeleton` removes, stripped of indentation and comments."""
    lines = source.split("\n")
    return [
        line
        for node in definitions(source, exercises).values()
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


def _code(text: str) -> list[str]:
    lines = (line.split("  #")[0].strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]
