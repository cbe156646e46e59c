"""The autograder for Gradescope: what is in the archive, and what it does in a root that holds Python and nothing of ours."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from sample_results import check, result_of

from grader.contract.registry import load
from grader.course.exports import autograde, autograder
from grader.course.exports.formats import ExportError
from tests.venvs import ROOT

TOPIC = load("newton_fisher")
DEPENDENCIES = Path(next(path for path in sys.path if path.endswith("site-packages")))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("autograder") / "autograder.zip"
    autograder.autograder("newton_fisher", path, training=False, sandbox="auto", limit=100)
    return path


def test_the_archive_holds_what_gradescope_unpacks(archive):
    with zipfile.ZipFile(archive) as opened:
        names = {member.filename: member.external_attr >> 16 for member in opened.infolist()}
        wheel = next(name for name in names if name.endswith(".whl"))
        assert names["setup.sh"] == names["run_autograder"] == 0o100755
        assert set(names) == {"setup.sh", "run_autograder", "constraints.txt", "README.txt", wheel}
        assert opened.read("run_autograder").decode().endswith("--topic newton_fisher --sandbox auto --limit 100 --no-training\n")
        constraints = opened.read("constraints.txt").decode()
        assert "torch==" in constraints and "msgspec==" in constraints and "+cpu" not in constraints and "sphinx" not in constraints
        with opened.open(wheel) as inner, zipfile.ZipFile(inner) as files:
            packed = set(files.namelist())
            assert files.testzip() is None and files.read(next(name for name in packed if name.endswith("/RECORD")))
    assert {"grader/records.py", "solutions/newton_fisher.py", "assignments/newton_fisher.json", "deep_rl_unit.py"} <= packed
    assert not any("__pycache__" in name or name.startswith("tests") for name in packed)


def test_the_same_project_makes_the_same_archive(archive, tmp_path):
    autograder.autograder("newton_fisher", tmp_path / "again.zip", training=False, sandbox="auto", limit=100)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_what_is_installed_from_the_wheel_makes_the_same_wheel(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        name = next(name for name in opened.namelist() if name.endswith(".whl"))
        content = opened.read(name)
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        wheel.extractall(tmp_path)
    installed = Distribution.at(next(tmp_path.glob("*.dist-info")))
    again, made = autograder._installed(installed)
    assert again == name and zipfile.ZipFile(io.BytesIO(made)).namelist() == zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert made == content


def test_what_cannot_be_packed_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(ExportError, match="there is no topic 'bandit'; there are newton_fisher, "):
        autograder.autograder("bandit", tmp_path / "out.zip")

    class Linked(Distribution):
        def read_text(self, filename):
            return {"METADATA": "Name: bandit\nVersion: 1\n", "RECORD": "__editable__.bandit-1.pth,,\n"}.get(filename)

        def locate_file(self, path):
            return tmp_path / path

    monkeypatch.setattr("grader.contract.registry.distribution", lambda topic: Linked())
    with pytest.raises(ExportError, match="bandit is installed with pip install -e, .* install it without -e"):
        autograder.autograder("newton_fisher", tmp_path / "out.zip")
    with pytest.raises(ExportError, match="cannot write"):
        monkeypatch.undo()
        (tmp_path / "file").touch()
        autograder.autograder("newton_fisher", tmp_path / "file" / "out.zip")


@pytest.fixture(scope="module")
def built(archive, tmp_path_factory):
    """Run setup.sh in a root that has Python and the packages we need, but nothing of this checkout; return what runs commands in it."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("there is no bubblewrap")
    root = tmp_path_factory.mktemp("root")
    home, needed = root / "autograder", root / "needed"
    for folder in (home / "source", home / "submission", home / "results", needed):
        folder.mkdir(parents=True)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(home / "source")
    for path in DEPENDENCIES.iterdir():
        if "deep_rl_unit" not in path.name and path.suffix != ".pth":
            (needed / path.name).symlink_to(path)
    python = Path(sys.base_prefix)
    view = [bwrap, "--unshare-all", "--die-with-parent", "--clearenv", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    for path in ("/usr", "/etc/alternatives", "/etc/ld.so.cache", str(python), str(DEPENDENCIES), str(needed)):
        view += ["--ro-bind-try", path, path]
    for path in ("/bin", "/lib", "/lib64"):
        view += ["--symlink", f"usr{path}", path] if os.path.islink(path) else ["--ro-bind-try", path, path]
    view += ["--bind", str(home), "/autograder"]
    # What an image has: python3 on the path. No package index can be reached, and what ours needs is there.
    settings = {"PATH": f"{python}/bin:/usr/bin:/bin", "HOME": "/tmp", "PYTHONPATH": str(needed), "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    settings |= {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for name, value in settings.items():
        view += ["--setenv", name, value]

    def run(*command: str) -> subprocess.CompletedProcess:
        return subprocess.run([*view, "--", *command], capture_output=True, text=True, timeout=500)

    # apt-get is the image's own business, and needs a network.
    setup = (home / "source" / "setup.sh").read_text()
    (home / "source" / "setup.sh").write_text(setup.replace("command -v apt-get", "command -v no-such-command"))
    probe = run("/bin/true")
    if probe.returncode:
        pytest.skip(f"this machine allows no namespaces: {probe.stderr}")
    done = run("/bin/bash", "/autograder/source/setup.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copy(home / "source" / "run_autograder", home / "run_autograder")
    return home, run


def graded(built, **files: str) -> dict:
    home, run = built
    for folder in ("submission", "results"):
        shutil.rmtree(home / folder)
        (home / folder).mkdir()
    for name, content in files.items():
        (home / "submission" / f"{name}.py").write_text(content)
    done = run("/bin/bash", "/autograder/run_autograder")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((home / "results" / "results.json").read_text())


def test_a_clean_root_grades_a_right_and_a_wrong_submission(built):
    home, run = built
    where = run("/autograder/venv/bin/python", "-c", "import grader; print(grader.__file__)").stdout
    assert where.startswith("/autograder/venv/") and str(ROOT) not in where
    full = graded(built, newton_fisher=TOPIC.solution.read_text())
    assert full["score"] == sum(check.points for check in TOPIC.checks)
    hidden = [test["name"] for test in full["tests"] if test["visibility"] == "hidden"]
    assert {test["status"] for test in full["tests"] if test["visibility"] == "visible"} == {"passed"}
    assert bool(hidden) == (full["extra_data"]["sandbox"] == "process"), "whoever teaches is told that there was no sandbox"
    wrong = graded(built, newton_fisher="def broken(:\n")
    assert wrong["score"] == 0 and "line 1" in wrong["output"]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ((), "there is no ppo.py or ppo.ipynb: hand it in"),
        (("homework.py", "notes.py"), "there is no ppo.py or ppo.ipynb, only homework.py and notes.py: call the one to be graded so"),
        (("ada/ppo.py", "blaise/ppo.ipynb"), None),
        (("submission_metadata.yml", "submission_1/x.py"), None),
    ],
)
def test_all_that_is_handed_in_is_one_students(tmp_path, monkeypatch, names, problem):
    seen = []

    def graded(submission, options, sandbox):
        seen.append(submission)
        return result_of("submission", [check()])

    monkeypatch.setattr(autograde, "_graded", graded)
    (tmp_path / "submission").mkdir()
    for name in names:
        (tmp_path / "submission" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "submission" / name).write_text("x:\n  :submitters:\n")
    assert autograde.main(["--topic", "ppo", "--root", str(tmp_path)]) == 0
    assert (seen[0].student, seen[0].problem, bool(seen[0].unread)) == ("submission", problem, problem is None)
    assert json.loads((tmp_path / "results" / "results.json").read_text())["score"] == 1.0


def test_a_failure_of_the_grader_is_told_as_such(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(autograde, "_results", lambda options: 1 / 0)
    assert autograde.main(["--topic", "ppo", "--root", str(tmp_path)]) == 3
    told = json.loads((tmp_path / "results" / "results.json").read_text())
    assert told["score"] == 0 and told["output"] == autograde.FAILED
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sandbox", "fails", "kinds"), [("auto", True, ["bwrap", "process"]), ("auto", False, ["bwrap"]), ("process", True, ["process"])]
)
def test_the_strongest_sandbox_that_there_is(tmp_path, monkeypatch, sandbox, fails, kinds):
    from grader.classroom import engines
    from grader.grading.sandbox import SandboxUnavailable
    from grader.records import Options, Submission

    asked = []

    def graded(submissions, jobs, options, started):
        asked.append(options.sandbox)
        if options.sandbox == "bwrap" and fails:
            raise SandboxUnavailable("no")
        yield options.sandbox

    monkeypatch.setattr(engines, "graded", graded)
    assert autograde._graded(Submission("x", "ppo", "", "ppo.py", "0" * 64), Options(), sandbox) == kinds[-1]
    assert asked == kinds
