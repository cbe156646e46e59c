"""Makes the bundled class, `examples/class/<student>/ppo.*`: what eleven students could hand in.

A file of `parts/` holds what one student wrote. It is put into the skeleton of the assignment, so that the class follows when the
assignment changes; a test compares the bytes. These files contain answers: no student bundle carries any of them.

    python -m examples.make_class
"""

import ast
import textwrap
from itertools import pairwise
from pathlib import Path

import nbformat

from grader.contract.registry import load
from grader.contract.spec import span
from grader.release.bundle import equations
from grader.release.skeleton import make_notebook, make_skeleton

__all__ = ["class_files", "handed_in"]

HERE = Path(__file__).resolve().parent
TOPIC = load("ppo")
UNTOUCHED = "hugo"
NOTEBOOK = "carl"
WITHOUT_PARENTHESIS = {"iris": ("ratio = torch.exp(log_prob_new - log_prob_old)", "ratio = torch.exp(log_prob_new - log_prob_old")}

Definition = ast.FunctionDef | ast.ClassDef


def class_files() -> dict[str, str]:
    """Return the text of every file of the class by its path below `examples/class`."""
    students = sorted(path.stem for path in (HERE / "parts").glob("*.py"))
    programs = {student: handed_in((HERE / "parts" / f"{student}.py").read_text()) for student in students} | {UNTOUCHED: skeleton()}
    for student, (right, wrong) in WITHOUT_PARENTHESIS.items():
        programs[student] = replaced(programs[student], right, wrong)
    files = {f"{student}/{TOPIC.name}.py": program for student, program in programs.items() if student != NOTEBOOK}
    return files | {f"{NOTEBOOK}/{TOPIC.name}.ipynb": used_notebook(programs[NOTEBOOK])}


def skeleton() -> str:
    return make_skeleton(TOPIC.solution.read_text(), TOPIC.exercises)


def handed_in(part: str) -> str:
    """Return the assignment as one student handed it in.

    An exercise of the part becomes the body of the exercise, any other definition that the assignment has replaces it, and the rest of the
    part, imports and helpers, follows the imports of the assignment.
    """
    program, own = skeleton(), ""
    for previous, node in pairwise(ast.parse(part).body):  # the first statement is the docstring
        exercises = exercises_in(node)
        for exercise, function in exercises.items():
            program = filled_in(program, exercise, body(part, function))
        if not exercises and isinstance(node, Definition) and f"\n{keyword(node)} {node.name}" in program:
            program = redefined(program, node.name, lines(part, node.lineno - 1, node))
        elif not exercises:
            own += lines(part, previous.end_lineno, node)
    return after_imports(program, "\n# %%\n" + own.lstrip("\n")) if own else program


def exercises_in(node: ast.stmt) -> dict[str, ast.FunctionDef]:
    """Return the exercises that a statement solves: itself, or methods of the class that it is."""
    prefix, candidates = (f"{node.name}.", node.body) if isinstance(node, ast.ClassDef) else ("", [node])
    functions = {prefix + function.name: function for function in candidates if isinstance(function, ast.FunctionDef)}
    return {name: function for name, function in functions.items() if name in TOPIC.exercises}


def filled_in(program: str, exercise: str, text: str) -> str:
    stub = f'raise NotImplementedError("{exercise}")\n'
    indentation = program.split(stub)[0].rsplit("\n", 1)[1]
    return replaced(program, indentation + stub, textwrap.indent(text, indentation))


def redefined(program: str, name: str, text: str) -> str:
    start, end = span(program, name)
    kept = program.splitlines(keepends=True)
    return "".join([*kept[:start], text, *kept[end:]])


def after_imports(program: str, text: str) -> str:
    end = max(node.end_lineno for node in ast.parse(program).body if isinstance(node, ast.Import | ast.ImportFrom))
    kept = program.splitlines(keepends=True)
    return "".join([*kept[:end], text, *kept[end:]])


def body(part: str, function: ast.FunctionDef) -> str:
    """Return the dedented body of a function, comments included."""
    start = function.args.args[-1].end_lineno if function.args.args else function.lineno
    return textwrap.dedent(lines(part, start, function))


def lines(part: str, start: int, node: ast.stmt) -> str:
    """Return the lines of the part from line `start`, counted from 0, to the end of the node."""
    return "".join(part.splitlines(keepends=True)[start : node.end_lineno])


def keyword(node: Definition) -> str:
    return "class" if isinstance(node, ast.ClassDef) else "def"


def replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"{old!r} must occur exactly once, not {text.count(old)} times: the assignment has changed")
    return text.replace(old, new)


def used_notebook(program: str) -> str:
    """Return the notebook of a program as it is after work: with magics, cells to try things in, and outputs."""
    notebook = nbformat.reads(make_notebook(program, TOPIC.exercises, equations(TOPIC)), as_version=4)
    cells = notebook.cells
    first_code = next(index for index, cell in enumerate(cells) if cell.cell_type == "code")
    cells.insert(first_code, new_cell("magics", "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\n!nproc", "2\n"))
    after = next(index for index, cell in enumerate(cells) if cell.cell_type == "code" and "def normalized" in cell.source) + 1
    cells.insert(
        after,
        new_cell(
            "trying", "a = torch.randn(5, 3)\nnormalized(a).mean(), normalized(a).std()\nprint(normalized(a).std())", "tensor(1.0000)\n"
        ),
    )
    cells.insert(
        after + 1,
        new_cell("timing", "%timeit normalized(a)", "19.7 µs ± 212 ns per loop (mean ± std. dev. of 7 runs, 10,000 loops each)\n"),
    )
    for count, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=7):
        cell.execution_count = count
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def new_cell(name: str, source: str, printed: str) -> nbformat.NotebookNode:
    output = nbformat.v4.new_output("stream", name="stdout", text=printed)
    return nbformat.v4.new_code_cell(source, id=name, outputs=[output])


def main() -> None:
    for path, text in class_files().items():
        file = HERE / "class" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(file)


if __name__ == "__main__":
    main()
