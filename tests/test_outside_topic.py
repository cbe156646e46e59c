"""A topic of another distribution: written by the command, built as a wheel, installed beside ours, used in every way."""

import json
from pathlib import Path

import pytest

from tests.venvs import Venv

RIGHT, WRONG = "(reward - mean) / count", "(reward - mean)"
MISTAKE = "keeps the last reward in place of the mean"
LOOKS = """
import importlib, os
def seen(paths): return [path for path in paths if os.path.exists(path)]
def importable(names):
    found = []
    for name in names:
        try:
            importlib.import_module(name)
            found.append(name)
        except ImportError:
            pass
    return found
"""
ASK = f"""
import json, sys
from grader.grading.remote import Sandboxed
from grader.grading.sandbox import open_sandbox
with open_sandbox("bwrap") as sandbox, Sandboxed(sandbox) as student:
    student.load({LOOKS!r}, "bandit", "bandit.py")
    print(json.dumps([student.seen(json.loads(sys.argv[1])), student.importable(["npfl139_bandit.checks", "npfl139", "torch"])]))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The checkout of the outside topic."""
    from grader.release.newtopic import new_topic

    folder = tmp_path_factory.mktemp("outside") / "project"
    new_topic("bandit", folder)
    return folder


@pytest.fixture(scope="module")
def installed(project, tmp_path_factory) -> Venv:
    """Its wheel, beside this checkout."""
    environment = Venv(tmp_path_factory.mktemp("venv"), with_ours=True)
    environment.install(project)
    return environment


def test_students_find_it_among_ours(installed, tmp_path):
    topics = installed.npfl139("topics", cwd=tmp_path)
    assert topics.index("ppo\n") < topics.index("bandit\n  Bandit, 8 points\n")
    assert "bandit.py: 2 exercises" in installed.npfl139("start", "bandit", cwd=tmp_path)
    done = installed.run("-c", "from deep_rl_unit import main; main()", "check", "bandit.py", cwd=tmp_path)
    assert done.returncode == 1 and "0 of 2 exercises pass" in done.stdout
    (tmp_path / "bandit.py").write_text((installed.site / "solutions" / "bandit.py").read_text())
    assert "2 of 2 exercises pass" in installed.npfl139("check", "bandit.py", cwd=tmp_path)


def test_our_own_solutions_are_still_found(installed, tmp_path):
    done = installed.run("-c", "import solutions.bandit, solutions.retrace; print(solutions.bandit.__file__)", cwd=tmp_path)
    assert done.stdout.strip() == str(installed.site / "solutions" / "bandit.py"), done.stderr


@pytest.mark.usefixtures("sandbox")  # skips where there is none
def test_it_is_graded_its_mistake_is_named_and_an_edit_of_it_regrades(installed, tmp_path):
    solution, skeleton = ((installed.site / folder / "bandit.py").read_text() for folder in ("solutions", "assignments"))
    for student, text in {"right": solution, "wrong": solution.replace(RIGHT, WRONG), "empty": skeleton}.items():
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "bandit.py").write_text(text)

    def grade() -> dict[str, dict]:
        printed = installed.npfl139("grade", "class", "--jobs", "2", cwd=tmp_path)
        assert "Traceback" not in printed
        return {
            student: json.loads((tmp_path / "results" / student / "bandit.json").read_text()) for student in ("right", "wrong", "empty")
        }

    first = grade()
    assert (first["right"]["score"], first["right"]["max_score"], first["empty"]["score"]) == (8, 8, 0)
    failed = [check for check in first["wrong"]["checks"] if check["verdict"] == "wrong"]
    assert failed and {check["mistake"] for check in failed} == {MISTAKE}
    assert MISTAKE in (tmp_path / "results" / "wrong" / "report.html").read_text()
    assert grade() == first
    checks = installed.site / "npfl139_bandit" / "checks.py"
    original = checks.read_text()
    try:
        checks.write_text(original.replace('@check("boltzmann", points=2)', '@check("boltzmann", points=3)'))
        assert {student: result["max_score"] for student, result in grade().items()} == dict.fromkeys(first, 9)
    finally:
        checks.write_text(original)


@pytest.mark.usefixtures("sandbox")
def test_a_submission_sees_nothing_of_it(installed, tmp_path):
    secret = [
        installed.site / name
        for name in (
            "npfl139_bandit/checks.py", "npfl139_bandit/mistakes.py", "npfl139_bandit/calibrated.json", "npfl139_bandit/variants",
            "solutions/bandit.py", "assignments/bandit.py", "lectures/bandit.md",
        )
    ]  # fmt: skip
    assert all(path.exists() for path in secret)
    done = installed.run("-c", ASK, json.dumps([str(installed.site), *map(str, secret)]), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[str(installed.site)], ["npfl139", "torch"]]


def test_its_bundle_has_what_its_students_need(installed, tmp_path):
    assert "bandit" in installed.npfl139("release", "bandit", "--out", "bundle", cwd=tmp_path)
    names = {path.relative_to(tmp_path / "bundle").as_posix() for path in (tmp_path / "bundle").rglob("*")}
    assert {"assignments/bandit.py", "assignments/bandit.ipynb", "assignments/bandit.json", "npfl139/cli.py", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("solutions", "grader"))]


def test_its_assignments_are_made_in_its_checkout(installed, project, tmp_path):
    made = installed.npfl139("release", "--out", tmp_path / "made", cwd=tmp_path)
    assert "bandit.ipynb" in made
    for path in sorted((project / "src" / "assignments").iterdir()):
        assert (tmp_path / "made" / path.name).read_bytes() == path.read_bytes()
    done = installed.run("-c", "from deep_rl_unit import main; main()", "release", cwd=project)
    assert done.returncode == 2 and "no topic lies in a checkout here" in done.stderr  # it is installed, not worked on
    worked_on = f"import sys; sys.path.insert(0, {str(project / 'src')!r}); from deep_rl_unit import main; main()"
    (project / "src" / "assignments" / "bandit.py").write_text("edited")
    done = installed.run("-c", worked_on, "release", cwd=project / "src")
    assert done.stdout == f"written: {project / 'src' / 'assignments' / 'bandit.py'}\n", done.stderr


def test_it_is_calibrated_into_a_file_where_it_is_installed(installed, tmp_path):
    done = installed.run("-c", "from deep_rl_unit import main; main()", "calibrate", "bandit", cwd=tmp_path)
    assert done.returncode == 2 and "name a folder with --out, or use its checkout" in done.stderr and done.stderr.count("\n") == 1
    printed = installed.npfl139("calibrate", "bandit", "--seeds", "2", "--mistake-seeds", "1", "--out", "figures", cwd=tmp_path)
    assert "bandits\nthreshold" in printed
    assert json.loads((tmp_path / "figures" / "bandit.json").read_text())["trainings"]["bandits"]["mistakes"].keys() == {MISTAKE}


@pytest.mark.usefixtures("sandbox")
def test_its_hidden_checks_run_under_pytest(installed, tmp_path):
    def checked(*arguments: object) -> str:
        return installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, cwd=tmp_path).stdout

    assert "4 passed" in checked("--pyargs", "npfl139_bandit.checks")
    assert "1 passed" in checked(installed.site / "npfl139_bandit" / "checks.py", "-k", "overflow")
    wrong = (installed.site / "solutions" / "bandit.py").read_text().replace(RIGHT, WRONG)
    (tmp_path / "homework.py").write_text(wrong)
    printed = checked("--pyargs", "npfl139_bandit.checks", "--submission", "homework.py")
    assert "2 failed, 2 passed" in printed
    assert "Extended by one reward after another, from any beginning, the mean becomes that of all of them." in printed


def test_its_own_tests_pass(installed, project):
    done = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=project)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout
