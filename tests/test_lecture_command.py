"""`npfl139 lecture` as a student meets it: what is written draws, what is not is an open box, every refusal is a sentence."""

import json
import re
import sys
from pathlib import Path

import pytest

from npfl139 import catalogue, equations
from npfl139.cli import main
from npfl139.lecture import reference, running
from npfl139.lecture.markup import mathml

LECTURE = """\
# A toy

With $x$ and {eq}`toy:twice`,

```{math}
:label: toy:twice
y = 2 x .
```

```{code-cell} python
import matplotlib.pyplot as plt

from solutions.toy import doubled, halved
```

:::::{exercise} What is twice two, $2 \\cdot 2$?
Think.
::::{answer}
Four.
::::
:::::

```{code-cell} python
value = doubled(2)
plt.plot([0, value], label="twice")
plt.legend()
plt.gca().set(title="A <line>", xlabel="x", ylabel="y")
plt.show()
print("doubled", value)
```

```{code-cell} python
print("halved", halved(value))
```
"""
STUBS = 'def doubled(x):\n    raise NotImplementedError("doubled")\n\n\ndef halved(x):\n    raise NotImplementedError("halved")\n'
SOLUTION = "def doubled(x):\n    return 2 * x\n\n\ndef halved(x):\n    return x / 2\n"


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """A folder as a student's bundle leaves it, but without the reference's figures."""
    (tmp_path / "assignments").mkdir()
    (tmp_path / "lectures").mkdir()
    entry = {"title": "A toy", "points": {"doubled": 1, "halved": 1}, "training_points": 0, "prerequisites": []}
    (tmp_path / "assignments" / "toy.json").write_text(json.dumps(entry))
    (tmp_path / "lectures" / "toy.md").write_text(LECTURE)
    monkeypatch.chdir(tmp_path)
    equations.equations.cache_clear()
    yield tmp_path
    equations.equations.cache_clear()


def ship(toy: Path) -> None:
    """Put the reference's figures beside the lecture, as a bundle does."""
    cells = reference.code_of((toy / "lectures" / "toy.md").read_text())
    sys.modules["solutions.toy"] = module = type(sys)("solutions.toy")
    exec(SOLUTION, vars(module))
    try:
        shown = [running.to_json(one) for one in running.run(cells)]
    finally:
        del sys.modules["solutions.toy"]
    digest = reference._hash("\0".join(cells).encode())
    (toy / "lectures" / "toy.json").write_text(json.dumps({"cells": digest, "shown": shown}))


def lecture(*arguments: str) -> str:
    """Run the command in this process; return the page."""
    sys.argv = ["npfl139", "lecture", "toy", "--out", "page.html", *arguments]
    main()
    return Path("page.html").read_text()


def refused(capsys, *arguments: str) -> str:
    sys.argv = ["npfl139", "lecture", *arguments]
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip()


def figures(page: str) -> int:
    return page.count("data:image/svg+xml")


def test_without_a_file_it_is_the_lecture_with_the_references_figures(toy):
    assert figures(lecture()) == 0, "nobody here knows the solution"
    ship(toy)
    page = lecture()
    assert figures(page) == 1 and "doubled 4" in page and "halved 2.0" in page
    assert 'alt="A &lt;line&gt;: y over x: twice"' in page
    assert "<small>twice</small> (1)</a>" in page, "the name by which docstrings cite it"
    assert '<div class="equation" id="equation-toy-twice"><math' in page and 'href="#equation-toy-twice">(1)</a>' in page
    assert re.search(
        r"Exercise 1. What is twice two, .*<math>.*?</math>.*?\?.*<details.*<summary>Answer</summary><p>Four.</p>", page, re.DOTALL
    )


def test_what_is_not_written_yet_is_an_open_box_beside_the_reference(toy):
    ship(toy)
    Path("toy.py").write_text(STUBS)
    page = lecture("--with", "toy.py")
    assert "<code>doubled</code> is not written yet" in page
    assert "It needs value of a cell above, which did not come to its end." in page
    assert figures(page) == 1 and "Traceback (most recent" not in page
    assert "Figures wait until these are written: <code>doubled</code>" in page
    assert "2 of 3 cells did not come to their end, and tell nothing yet about your functions" in page
    Path("toy.py").write_text("def doubled(x):\n    return 2 * x\n")  # an exercise that is not even there
    page = lecture("--with", "toy.py")
    assert "<code>halved</code> is not written yet" in page and "toy.py and the reference give the same" in page


def test_a_wrong_function_draws_another_figure_and_one_that_raises_says_where(toy):
    ship(toy)
    Path("toy.py").write_text(SOLUTION.replace("2 * x", "3 * x"))
    page = lecture("--with", "toy.py")
    assert figures(page) == 2 and "doubled 6" in page and "doubled 4" in page and "2 of 3 cells show something else" in page
    assert 'cell <a href="#cell-2">2</a>' in page and '<div class="cell" id="cell-2">' in page
    assert '<div class="beside">' in page and '<div class="above">' not in page
    Path("toy.py").write_text(SOLUTION.replace("return 2 * x", "return str(2 * x) + '!' * 50"))
    assert '<div class="above">' in lecture("--with", "toy.py"), "long lines would be cut beside each other"
    Path("toy.py").write_text(SOLUTION.replace("x / 2", "x / 0"))
    assert "ZeroDivisionError: division by zero, in line 6 of toy.py: return x / 0" in lecture("--with", "toy.py")


def test_where_no_reference_is_known_the_students_figures_stand_alone(toy):
    Path("toy.py").write_text(SOLUTION)
    page = lecture("--with", "toy.py")
    assert (
        figures(page) == 1
        and "reference" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL).split("A toy</h1>")[1].split("<nav>")[0]
    )
    assert "solutions.toy" not in sys.modules


def test_a_loop_is_ended_by_ctrl_c_and_the_page_is_written(toy, capsys):
    Path("toy.py").write_text(SOLUTION.replace("return 2 * x", "raise KeyboardInterrupt"))
    page = lecture("--with", "toy.py")
    assert "You interrupted it, in line 2 of toy.py: raise KeyboardInterrupt" in page
    assert "because you interrupted a cell before it" in page
    assert "You interrupted it, in line 2 of toy.py" in capsys.readouterr().out


def test_refusals_are_sentences(toy, capsys):
    assert "npfl139: there is no lecture 'nope'; there are newton_fisher, " in refused(capsys, "nope")
    assert refused(capsys, "toy", "--with", "nope.py") == "npfl139: there is no file nope.py"
    assert refused(capsys, "toy", "--out", "nowhere/a.html") == "npfl139: there is no folder nowhere to write a.html into"
    assert "toy cannot be written: Is a directory" in (Path("toy").mkdir() or refused(capsys, "toy", "--out", "toy"))
    Path("toy.py").write_text("def doubled(x:\n")
    assert "Python cannot read the code in line 1" in refused(capsys, "toy", "--with", "toy.py")
    Path("toy.py").write_text("import nowhere_to_be_found\n")
    assert "toy.py cannot be run: ModuleNotFoundError" in refused(capsys, "toy", "--with", "toy.py")
    ship(toy)
    Path("lectures/toy.md").write_text(LECTURE.replace("halved(value)", "halved(2)"))
    assert "belongs to other cells than those of toy.md" in refused(capsys, "toy")
    Path("lectures/toy.json").write_text("{}")
    assert "toy.json is damaged" in refused(capsys, "toy")
    Path("lectures/toy.json").unlink()
    Path("lectures/toy.md").write_text("# A toy\n\n```{figure} x.png\n```\n")
    assert "toy.md has the directive {figure}, which this page cannot show" in refused(capsys, "toy")
    Path("lectures/toy.md").write_text("# A toy\n\n```{interactive} nothing\n```\n")
    assert "toy.md asks for the figure nothing, but there is no nothing.html" in refused(capsys, "toy")
    Path("lectures/toy.md").write_text("# A toy\n\n{doc}`x`\n")
    assert "toy.md has the role doc, which this page cannot show" in refused(capsys, "toy")


def test_a_formula_that_is_none_is_told():
    with pytest.raises(ValueError, match="cannot be set"):
        mathml(r"\frac{", display=False)


def test_the_reference_is_run_once_and_again_when_something_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "one.md"
    path.write_text("# One\n\n```{code-cell} python\nprint(1)\n```\n")
    kept = tmp_path / "npfl139" / "lectures" / "one.json"
    assert [one.printed for one in reference.reference(path)] == ["1\n"]
    written = kept.stat().st_mtime_ns
    reference.reference(path)
    assert kept.stat().st_mtime_ns == written
    kept.write_text(kept.read_text().replace('"npfl139/', '"changed/', 1))
    reference.reference(path)
    assert "changed/" not in kept.read_text()
    kept.write_text(kept.read_text().replace('"words"', '"of_an_older_version"', 1))
    assert [one.printed for one in reference.reference(path)] == ["1\n"] and '"words"' in kept.read_text()
    path.write_text("# One\n\n```{code-cell} python\nprint(2)\n```\n")
    assert [one.printed for one in reference.reference(path)] == ["2\n"]
    path.write_text("# One\n\n```{code-cell} python\n1 / 0\n```\n")
    with pytest.raises(reference.LectureError, match="one.md, cell 1: ZeroDivisionError: division by zero"):
        reference.reference(path)


def test_catalogue_tells_where_the_lecture_lies(toy):
    assert catalogue.assignment("toy").lecture == toy / "lectures" / "toy.md"


def test_a_diagram_has_all_its_boxes_and_is_described_by_them():
    cell = (
        "from npfl139.lecture.diagram import diagram\n"
        "diagram({'actor': (1, 1, 'plain'), 'learner': (3, 1, 'learns')}, [('actor', 'learner', 'rows')], (4, 2))"
    )
    (shown,) = running.run([cell])
    assert shown.words == ("actor, learner, rows",) and len(shown.figures) == 1
    (shown,) = running.run([cell.replace("('actor', 'learner'", "('actor', 'replay'")])
    assert shown.problem == "KeyError: 'replay'"
