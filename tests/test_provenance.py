"""What has to be graded again, and what has not. The edits are made to a copy of the project."""

import shutil
from pathlib import Path

import pytest

import grader
import npfl139
import solutions
from grader.contract import sources
from grader.grading import provenance
from grader.grading.provenance import basis_of, engine_sha256, topic_sha256, versions
from grader.records import Options, Submission

PACKAGE, LIBRARY, SOLUTIONS = (Path(package.__file__).parent for package in (grader, npfl139, solutions))
TOPICS = ("ppo", "r2d2", "transformed_rewards")  # of which r2d2 builds on transformed_rewards


@pytest.fixture
def project(tmp_path):
    for folder in (PACKAGE, LIBRARY, SOLUTIONS):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def answers(project, name):
    return [project / f"solutions/{other}.py" for other in sorted({name, *sources.prerequisites(name)})]


def hashes(project, numbers=None):
    engine = engine_sha256(project / "grader", project / "npfl139", numbers or versions())
    topics = {name: topic_sha256(project / "grader/topics" / name, answers(project, name)) for name in TOPICS}
    return {"engine": engine, **topics}


def changed(project, edit):
    before = hashes(project)
    edit()
    return {name for name, digest in hashes(project).items() if digest != before[name]}


def edited(path):
    def edit():
        path.write_bytes(path.read_bytes() + b"\n# edited\n")

    return edit


@pytest.mark.parametrize(
    "name",
    [
        "grader/show/charts.py",
        "grader/show/templates/class.html",
        "grader/show/display.py",
        "grader/commands.py",
        "grader/plugin.py",
        "grader/release/bundle.py",
        "grader/classroom/intake.py",
        "grader/topics/trpo/checks.py",
    ],
)
def test_what_decides_no_mark_regrades_nothing(project, name):
    assert changed(project, edited(project / name)) == set()


@pytest.mark.parametrize(
    "name", ["grader/inside/worker.py", "grader/contract/expect.py", "grader/grading/sequential.py", "npfl139/envs/collect.py"]
)
def test_the_engine_regrades_everything(project, name):
    assert changed(project, edited(project / name)) == {"engine"}


@pytest.mark.parametrize("name", ["checks.py", "mistakes.py", "calibrated.json", "helpers/new.py"])
def test_a_topics_folder_regrades_that_topic(project, name):
    path = project / "grader/topics/ppo" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert changed(project, edited(path)) == {"ppo"}


def test_a_solution_regrades_its_topic_and_what_builds_on_it(project):
    assert changed(project, edited(project / "solutions/ppo.py")) == {"ppo"}
    assert changed(project, edited(project / "solutions/transformed_rewards.py")) == {"transformed_rewards", "r2d2"}


@pytest.mark.parametrize("package", ["torch", "numpy", "gymnasium"])
def test_another_version_of_what_computes_regrades_everything(project, package):
    before, after = hashes(project), hashes(project, versions() | {package: "99.0"})
    assert {name for name in before if before[name] != after[name]} == {"engine"}


def test_a_file_that_moves_is_another(project):
    folder = project / "grader/topics/ppo"
    assert changed(project, lambda: (folder / "mistakes.py").rename(folder / "errors.py")) == {"ppo"}


def test_line_endings_and_leftovers_are_no_change(project):
    def edit():
        path = project / "grader/topics/ppo/checks.py"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        for name in ("grader/topics/ppo/__pycache__/checks.pyc", "npfl139/.DS_Store"):
            (project / name).parent.mkdir(exist_ok=True)
            (project / name).write_bytes(b"left over")

    assert changed(project, edit) == set()


def test_the_basis_of_a_submission_is_that_of_its_topic_and_options(monkeypatch):
    submission = Submission("ada", "ppo", "x = 1", "ppo.py", "0" * 64)
    basis = basis_of(submission, Options(seed=1, training=False))
    assert (basis.submission_sha256, basis.training, basis.sandbox) == ("0" * 64, False, "bwrap")
    assert basis.engine_sha256 == engine_sha256(PACKAGE, LIBRARY, versions())
    assert basis.topic_sha256 == topic_sha256(PACKAGE / "topics/ppo", [SOLUTIONS / "ppo.py"])
    assert basis.seed_sha256 == Options(seed=1).seed_sha256 != basis_of(submission, Options(seed=2)).seed_sha256
    monkeypatch.setattr(provenance, "_engine", lambda: "1" * 64)
    assert basis_of(submission, Options(seed=1, training=False)) != basis
