"""What students get equals what the generator makes, and no part of it gives a solution away."""

import functools
import json
import re
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from grader.contract import registry, sources
from grader.contract.registry import available, load
from grader.release.bundle import ReleaseError, assignment_files, bundle, regenerate
from grader.release.requirements import project
from grader.release.skeleton import removed_lines
from npfl139.lecture.text import interactive_figures
from npfl139.source import SUFFIXES, read_source

ROOT = Path(__file__).resolve().parents[1]
TOPICS = [load(name) for name in available()]
CHARACTERS = 25  # a shorter line, such as `return advantage`, gives nothing away and may well stand elsewhere

by_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    """The student bundle of each topic."""
    folders = {topic.name: tmp_path_factory.mktemp("bundles") / topic.name for topic in TOPICS}
    for name, folder in folders.items():
        bundle([name], folder)
    return folders


@functools.cache
def texts(folder: Path) -> dict[Path, str]:
    """Return the texts in a folder; of notebooks their code."""
    paths = [
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".safetensors", ".webp")
    ]
    return {path: read_source(path.read_bytes(), path.name).text if path.suffix in SUFFIXES else path.read_text() for path in paths}


def leaks(topic, folder: Path) -> list[str]:
    removed = {line for line in removed_lines(topic.solution.read_text(), topic.exercises) if len(re.sub(r"\s", "", line)) >= CHARACTERS}
    return [f"{path.relative_to(folder)}: {line}" for path, text in texts(folder).items() for line in removed if line in text]


def test_assignments_are_byte_for_byte_what_the_generator_makes():
    folder = ROOT / "assignments"
    expected = {name: text.encode() for topic in TOPICS for name, text in assignment_files(topic).items()}
    actual = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix not in (".safetensors", ".webp")}
    assert sorted(actual) == sorted(expected), "run npfl139 release, and remove what is left over"
    assert [name for name in expected if actual[name] != expected[name]] == [], "run npfl139 release"


@by_topic
def test_no_line_of_a_solution_reappears_in_what_students_see(topic, bundles):
    assert leaks(topic, ROOT / "assignments") == []
    assert leaks(topic, ROOT / "npfl139") == []
    given = tuple(f"solutions/{name}.py:" for name in topic.prerequisites)  # whose lines are shown on purpose
    assert [leak for leak in leaks(topic, bundles[topic.name]) if not leak.startswith(given)] == []


def test_a_leak_would_be_found(tmp_path):
    topic = TOPICS[0]
    assert leaks(topic, ROOT / "solutions")
    (tmp_path / "copy.txt").write_text(topic.solution.read_text())
    assert leaks(topic, tmp_path)


@by_topic
def test_a_bundle_holds_the_assignment_the_library_and_earlier_solutions_only(topic, bundles):
    folder = bundles[topic.name]
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    library = {path.relative_to(ROOT).as_posix() for path in texts(ROOT / "npfl139")} | {"deep_rl_unit.py"}
    assert library <= names
    earlier = {f"solutions/{name}.py" for name in topic.prerequisites} | ({"solutions/__init__.py"} if topic.prerequisites else set())
    own = {f"assignments/{topic.name}.py", f"assignments/{topic.name}.ipynb", f"assignments/{topic.name}.json"}
    own |= {f"lectures/{topic.name}.md", f"lectures/{topic.name}.json"}
    figures = {f"lectures/interactive/{name}.html" for name in interactive_figures((ROOT / "lectures" / f"{topic.name}.md").read_text())}
    watched = (f"assignments/{topic.name}.safetensors", f"assignments/{topic.name}.webp")
    agent = {name for name in watched if (ROOT / name).exists()}
    assert names - library == own | figures | agent | earlier | {"README.md", "pyproject.toml", "constraints.txt"}


def test_a_bundle_installs_what_students_need_and_nothing_of_the_graders(bundles):
    made = tomllib.loads((bundles[TOPICS[0].name] / "pyproject.toml").read_text())["project"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sorted(made["dependencies"]) == sorted(map(normalized, ours["dependencies"]))
    assert made["optional-dependencies"].keys() == {"atari", "box2d", "film", "mujoco", "notebook", "ray"}
    assert made["scripts"] == ours["scripts"]
    assert "entry-points" not in made
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    versions = (bundles[TOPICS[0].name] / "constraints.txt").read_text().splitlines()
    assert [line for line in versions if line.startswith(("torch==", "numpy=="))] == [
        line for line in sorted(pinned) if line.startswith(("torch==", "numpy=="))
    ]
    assert not [line for line in versions if line.startswith(("jinja2", "pytest", "ruff"))]


def test_a_bundle_of_anothers_topic_asks_for_what_that_needs_too(tmp_path):
    record = tmp_path / "bandit-1.0.dist-info"
    record.mkdir()
    requires = ("deep-rl-unit[grader]>=0.1", "NumPy>=1", "scipy>=1", 'tomli>=2; python_version < "3.11"', 'sphinx; extra == "dev"')
    (record / "METADATA").write_text("Name: bandit\nVersion: 1.0\n" + "".join(f"Requires-Dist: {line}\n" for line in requires))
    made = tomllib.loads(project([PathDistribution(record)]))["project"]
    assert made["dependencies"] == tomllib.loads(project([]))["project"]["dependencies"] + ["scipy>=1", requires[3]]


def normalized(requirement: str) -> str:
    """Return the requirement as an installation records it."""
    name, *versions = re.split(r"(?=[<>])", requirement.replace(",", ""))
    return name + ",".join(sorted(versions))


@by_topic
def test_the_readme_of_a_bundle_names_what_the_student_does(topic, bundles):
    readme = (bundles[topic.name] / "README.md").read_text()
    assert f"npfl139 start {topic.name} " in readme
    assert f"{len(topic.exercises)} exercises, {topic.max_score:g} points" in readme
    assert ('-e ".[notebook,mujoco]"' if topic.name == "trpo" else '-e ".[notebook]"') in readme, "which train in MuJoCo by default"


def test_topics_whose_bundle_would_show_each_others_solution_are_not_released_together(tmp_path):
    later = next((topic for topic in TOPICS if topic.prerequisites), None)
    if later is None:
        pytest.skip("no topic builds on another one yet")
    with pytest.raises(ReleaseError, match=f"{later.prerequisites[0]} cannot be released together with .*{later.name}"):
        bundle([later.name, later.prerequisites[0]], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_is_not_written_over_anything(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ReleaseError, match="is not empty"):
        bundle([TOPICS[0].name], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_topic_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no topic 'agent99'; did you mean 'agent57'"):
        bundle(["agent99"], tmp_path)


@pytest.fixture
def small_checkout(tmp_path, monkeypatch):
    """A checkout of another project with one topic's solution, in which the commands are run."""
    (tmp_path / "solutions").mkdir()
    (tmp_path / "pyproject.toml").touch()
    name = available()[0]
    path = tmp_path / "solutions" / f"{name}.py"
    path.write_text(load(name).solution.read_text())
    for module, function, found in ((sources, "solution", path), (registry, "folder", tmp_path / "package")):
        true = getattr(module, function)
        monkeypatch.setattr(module, function, lambda asked, true=true, found=found: found if asked == name else true(asked))
    monkeypatch.chdir(tmp_path / "solutions")
    return tmp_path


def test_regenerating_writes_what_changed_only_and_only_what_the_checkout_holds(small_checkout):
    name, folder = available()[0], small_checkout / "assignments"
    assert regenerate() == [folder / f"{name}.py", folder / f"{name}.ipynb", folder / f"{name}.json"]
    assert regenerate() == []
    (folder / f"{name}.py").write_text("edited")
    assert regenerate() == [folder / f"{name}.py"]
    assert json.loads((folder / f"{name}.json").read_text())["title"] == load(name).title
    assert {path.name for path in regenerate(small_checkout / "elsewhere")} == {f"{name}.py", f"{name}.ipynb", f"{name}.json"}


def test_anothers_broken_topic_stops_nobody_from_regenerating(small_checkout, monkeypatch):
    name, true = available()[0], registry.folder

    def folder(asked: str) -> Path:
        if asked == name:
            return true(asked)
        raise ValueError("it is broken")

    monkeypatch.setattr(registry, "folder", folder)
    assert [path.stem for path in regenerate()] == [name] * 3


def test_outside_any_checkout_nothing_is_regenerated_unless_told_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReleaseError, match="no topic lies in a checkout here: run the command in the one that holds the topic"):
        regenerate()
    assert list(tmp_path.iterdir()) == []
    assert {path.stem for path in regenerate(tmp_path / "all")} == set(available())
