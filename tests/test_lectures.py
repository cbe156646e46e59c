"""Every cell of every lecture runs, in a fresh interpreter and from the top; every citation finds its equation."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from grader.contract.registry import available, load
from npfl139.equations import cited, equation_place, equation_url, equations, equations_of
from npfl139.lecture import page, reference
from npfl139.lecture.text import code_of

ROOT = Path(__file__).resolve().parent.parent
LECTURES = ROOT / "lectures"
TEXTS = [
    path
    for room in ("solutions", "grader", "assignments", "lectures", "npfl139")
    for path in (ROOT / room).rglob("*.*")
    if path.suffix in (".py", ".md", ".toml")
]

each_topic = pytest.mark.parametrize("topic", available())


@each_topic
def test_every_cell_runs_and_the_page_shows_what_it_shows(topic):
    lecture = LECTURES / f"{topic}.md"
    shown = reference.reference(lecture)
    assert len(shown) == len(code_of(lecture.read_text())) > 0
    made = page.page(lecture, shown)
    assert made.count("data:image/svg+xml;base64,") == sum(len(one.figures) for one in shown) > 0
    assert not re.search(r"""(src|href)=["'](https?:)?//""", made), "a page that needs the network"


@each_topic
def test_a_lecture_imports_no_solution_but_its_own_and_those_that_it_builds_on(topic):
    trees = [ast.parse(cell) for cell in code_of((LECTURES / f"{topic}.md").read_text())]
    nodes = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("solutions")
    ]
    imported = {
        name for node in nodes for name in ([node.module.split(".")[1]] if "." in node.module else [alias.name for alias in node.names])
    }
    assert topic in imported
    assert imported <= {topic, *load(topic).prerequisites}


@each_topic
def test_an_exercise_cites_equations_of_its_lecture(topic):
    assert [label for label in cited(load(topic).solution.read_text()) if label.startswith(f"{topic}:")]


def test_every_label_that_is_cited_anywhere_is_in_a_lecture():
    topics = set(available())
    missing = {
        f"{path.relative_to(ROOT)}: {label}"
        for path in TEXTS
        for label in [*cited(path.read_text()), *re.findall(r"\{eq\}`([^`]+)`", path.read_text())]
        if label.partition(":")[0] in topics and label not in equations()
    }
    assert missing == set()


def test_every_label_is_one_equations():
    labels = Counter(equation.label for topic in available() for equation in equations_of((LECTURES / f"{topic}.md").read_text()))
    assert [label for label, count in labels.items() if count > 1] == []
    assert set(labels) == set(equations()), "an equation whose topic is not its lecture's"
    assert all(label.partition(":")[0] in available() for label in labels)


def test_an_equation_has_an_address_where_the_course_has_a_site(monkeypatch, tmp_path):
    monkeypatch.delenv("NPFL139_SITE", raising=False)
    assert equation_url("ppo:gae") is None
    assert equation_place("ppo:gae") == "equation 2 (gae) of the lecture ppo: npfl139 lecture ppo"
    monkeypatch.setenv("NPFL139_SITE", str(tmp_path))
    assert equation_url("ppo:gae") == f"{tmp_path.as_uri()}/lectures/ppo.html#equation-ppo-gae"
    assert equation_url("ppo:gae", "https://a.b/c") == "https://a.b/c/lectures/ppo.html#equation-ppo-gae"
    assert equation_url("start:stop", "https://a.b/c") is None
    assert equation_place("start:stop") is None
