"""The generator: what it removes, what it keeps, what it refuses."""

import ast

import nbformat
import pytest

from grader.release.skeleton import make_notebook, make_skeleton, removed_lines

SOURCE = '''\
# %% [markdown]
# # A topic — with letters beyond ASCII

# %%
import functools
from math import sqrt   # needed by the solution only


# %%
@functools.cache
def root(x: float) -> float:
    r"""Return √x.

    >>> root(4.0)
    2.0
    """  # the assignment text
    # A comment that gives the answer away.
    if x > 0:
        return sqrt(x)  # here
    return 0.0
    # One more, after the last statement.

# A comment that belongs to what follows.
given = 3


class Counter:
    """Given."""

    def add(self) -> None:
        """Add one."""
        def helper():
            return 1

        self.count = helper()

    def read(self):
        return self.count
'''

SKELETON = '''\
# %% [markdown]
# # A topic — with letters beyond ASCII

# %%
import functools
from math import sqrt   # needed by the solution only


# %%
@functools.cache
def root(x: float) -> float:
    r"""Return √x.

    >>> root(4.0)
    2.0
    """
    raise NotImplementedError("root")

# A comment that belongs to what follows.
given = 3


class Counter:
    """Given."""

    def add(self) -> None:
        """Add one."""
        raise NotImplementedError("Counter.add")

    def read(self):
        return self.count
'''


def test_bodies_are_replaced_and_every_other_byte_is_kept():
    assert make_skeleton(SOURCE, ["root", "Counter.add"]) == SKELETON


def test_order_of_the_exercises_does_not_matter():
    assert make_skeleton(SOURCE, ["Counter.add", "root"]) == SKELETON


def test_a_function_that_is_not_an_exercise_is_kept():
    assert "return sqrt(x)" in make_skeleton(SOURCE, ["Counter.add"])


def test_an_exercise_at_the_end_of_a_file_without_newline():
    skeleton = make_skeleton('def f():\n    """Text."""\n    return 1', ["f"])
    assert skeleton == 'def f():\n    """Text."""\n    raise NotImplementedError("f")'


def test_removed_lines_are_code_without_comments():
    assert removed_lines(SOURCE, ["root"]) == ["if x > 0:", "return sqrt(x)", "return 0.0"]


@pytest.mark.parametrize(
    ("source", "exercise", "message"),
    [
        ("x = 1\n", "f", "0 times, not once"),
        ('def f():\n    """A."""\n    return 1\n' * 2, "f", "2 times, not once"),
        ("def f():\n    return 1\n", "f", "no docstring"),
        ('def f():\n    """Only text."""\n', "f", "no body"),
        ('def f(): """A."""; return 1\n', "f", "lines of its own"),
        ('def f():\n    """A."""; return 1\n', "f", "lines of its own"),
        ('def g():\n    def f():\n        """A."""\n        return 1\n', "f", "a top-level function, or a method"),
        ('class A:\n    def f(self):\n        """A."""\n        return 1\n', "f", "Class.method"),
        ('def g():\n    def f():\n        """A."""\n        return 1\n', "g.f", "0 times, not once"),
        ("class A:\n    class B:\n        pass\n", "A.B.f", "top-level class"),
    ],
)
def test_what_cannot_be_stubbed_is_refused_by_name(source, exercise, message):
    with pytest.raises(ValueError, match=message) as raised:
        make_skeleton(source, [exercise])
    assert exercise in str(raised.value)


def test_the_notebook_is_valid_and_its_cells_are_the_percent_cells():
    notebook = nbformat.reads(make_notebook(SKELETON), as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "code"]
    assert notebook.cells[0].source == "# A topic — with letters beyond ASCII"
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(SKELETON))


def test_the_notebook_has_the_same_bytes_on_each_run_and_unique_cell_ids():
    assert make_notebook(SKELETON) == make_notebook(SKELETON)
    ids = [cell.id for cell in nbformat.reads(make_notebook(SKELETON), as_version=4).cells]
    assert len(set(ids)) == len(ids)


def test_cell_ids_do_not_change_when_the_text_of_a_cell_does():
    edited = SKELETON.replace("given = 3", "given = 4")
    before, after = (nbformat.reads(make_notebook(text), as_version=4).cells for text in (SKELETON, edited))
    assert [cell.id for cell in before] == [cell.id for cell in after]
    assert before[2].source != after[2].source


LECTURE = "```{math}\n:label: topic:first\n\\hat g = \\nabla f .\n```\n"
EXERCISES = '''\
# %%
import math

WIDTH = 3


def first(x):
    """Return one thing [topic:first].

    >>> first(1)
    1
    """
    return x


# of the class
class Counter:
    """A class with two exercises."""

    def add(self):
        """Add, as [topic:nowhere] says.

            n = mean over all of n

        Of nothing else.
        """

    def given(self):
        """Stay."""

    def remove(self):
        """Remove."""


LENGTH = 4
'''


def test_every_exercise_of_a_notebook_has_a_cell_its_equation_and_its_check():
    notebook = nbformat.reads(make_notebook(EXERCISES, ["first", "Counter.add", "Counter.remove"], LECTURE), as_version=4)
    nbformat.validate(notebook)
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    told = [source for kind, source in cells if kind == "markdown"]
    assert told[0] == "### `first`\n\nReturn one thing [topic:first].\n\n$$\n\\hat g = \\nabla f\n$$"
    assert told[1].startswith("### `Counter.add`\n\nAdd, as [topic:nowhere] says.\n\n$$\nn = \\mathrm{mean}")
    assert told[1].endswith("### `Counter.remove`\n\nRemove.")
    code = [source for kind, source in cells if kind == "code"]
    assert [source.split("\n")[-1] for source in code] == [
        "import npfl139", "WIDTH = 3", "    return x", 'npfl139.check("first")', "# of the class", '        """Remove."""',
        'npfl139.check("Counter.add")', 'npfl139.check("Counter.remove")', "LENGTH = 4",
    ]  # fmt: skip
    program = "\n".join(source for source in code if "npfl139" not in source)
    assert ast.dump(ast.parse(program)) == ast.dump(ast.parse(EXERCISES))
