"""Which topics there are, in what order, and where their parts lie."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from grader import brought
from grader.contract import registry, sources
from grader.contract.registry import available, load, place, prerequisites
from npfl139 import catalogue
from npfl139.catalogue import lecture_order


@pytest.fixture
def registered(monkeypatch):
    """Register other topics in place of the installed ones: name=package."""

    def register(*points: tuple[str, str]) -> None:
        monkeypatch.setattr(brought, "entry_points", lambda group: [EntryPoint(name, value, group) for name, value in points])
        brought.brought.cache_clear()
        registry.available.cache_clear()

    yield register
    brought.brought.cache_clear()
    registry.available.cache_clear()


@pytest.fixture
def solution_files(tmp_path, monkeypatch):
    """Write solutions: name=source."""

    def write(**texts: str) -> None:
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)

    monkeypatch.setattr(sources, "solution", lambda name: tmp_path / f"{name}.py")
    return write


def test_every_topic_comes_after_those_it_builds_on_and_otherwise_by_its_place():
    order = available()
    for name in order:
        assert set(prerequisites(name)) <= set(order[: order.index(name)])
    free = [name for name in order if not prerequisites(name)]
    assert [place(name) for name in free] == sorted(map(place, free))
    assert list(catalogue.assignments()) == list(order)


def test_a_circle_has_an_order_too():
    assert lecture_order({"b": ["a"], "a": ["b"], "c": []}, {"a": 1, "b": 1, "c": 2}) == ("c", "a", "b")


def test_prerequisites_are_what_a_solution_imports_in_any_way_directly_or_not(solution_files):
    solution_files(
        first="import torch\n",
        second="from solutions.first import x\n",
        third="from solutions import second as other\n",
        fourth="def f():\n    import solutions.third.deep, math\n",
        fifth='"""solutions.first"""\nfrom .solutions import x\nimport solutions\n',
    )
    found = {name: sources.prerequisites(name) for name in ("first", "second", "third", "fourth", "fifth")}
    expected = {"first": set(), "second": {"first"}, "third": {"second", "first"}, "fourth": {"third", "second", "first"}, "fifth": set()}
    assert found == expected
    assert prerequisites("fourth") == ("first", "second", "third")


def test_a_solution_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match="there is no solution of 'no_such': solutions/no_such.py must be installed with the topic"):
        sources.solution("no_such")


def test_a_checkout_is_a_folder_with_a_project_and_no_installation(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    inside, installed = tmp_path / "src" / "package", tmp_path / ".venv" / "lib" / "site-packages" / "package"
    assert sources.checkout(inside) == sources.checkout(tmp_path) == tmp_path
    assert sources.checkout(installed) is None and sources.checkout(tmp_path.parent) is None


def test_the_names_and_the_figures_of_the_topics_are_told_without_torch():
    code = (
        "import sys; from grader.contract.figures import calibrated; from grader.contract.registry import available, folder;"
        "[calibrated(name, '') or folder(name) for name in available()];"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'gymnasium')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "there is no topic 'ppo'; there are none: install the project once more"),
        ([("other", "grader.topics.ppo")], "there is no topic 'ppo'; there is only other"),
        ([("ppo", "grader.topics.ppo"), ("ppo", "elsewhere")], "two packages bring the topic 'ppo', grader.topics.ppo and elsewhere"),
        ([("ppo", "no_such_package")], "the topic 'ppo' cannot be loaded from no_such_package.checks, which must define TOPIC: No module"),
        ([("ppo", "grader.topics.trpo")], "declares the topic 'trpo', but is registered as 'ppo': give both one name"),
    ],
)
def test_a_topic_that_cannot_be_loaded_is_one_sentence(registered, points, message):
    registered(*points)
    with pytest.raises(ValueError) as told:
        load("ppo")
    assert message in str(told.value) and "\n" not in str(told.value)


def test_a_broken_topic_stands_in_nobodys_way(registered):
    registered(("broken", "no_such_package"), ("ppo", "grader.topics.ppo"))
    assert available() == ("ppo", "broken") and load("ppo").name == "ppo"
    with pytest.raises(ValueError, match="the package no_such_package of the topic 'broken' cannot be found"):
        registry.folder("broken")


def test_a_topic_finds_its_files():
    topic = load("ppo")
    assert topic.package == "grader.topics.ppo" == registry.package("ppo")
    assert topic.files == registry.folder("ppo") and (topic.files / "calibrated.json").is_file()
    assert topic.mistakes and topic.variants and topic.solution.name == "ppo.py"
