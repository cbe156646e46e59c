"""Installed from a wheel, outside any checkout, everything works, and what needs a checkout says so."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.venvs import COMMAND, Venv, copy_of_this_project


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Venv:
    """An environment that has this project from its wheel only."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = Venv(folder / "venv", with_ours=False)
    environment.install(copy_of_this_project(folder / "project"))
    return environment


def refused(done: subprocess.CompletedProcess) -> str:
    """Return the sentence with which the command refused."""
    assert done.returncode == 2 and done.stderr.startswith("npfl139: ") and done.stderr.count("\n") == 1, done.stdout + done.stderr
    return done.stderr


def test_it_lies_where_it_was_installed(installed, tmp_path):
    done = installed.run("-c", "import grader, npfl139, solutions; print(grader.__file__)", cwd=tmp_path)
    assert done.stdout.strip() == str(installed.site / "grader" / "__init__.py"), done.stderr
    assert installed.npfl139("--version", cwd=tmp_path).strip() == version("deep-rl-unit")


def test_students_start_check_train_and_show(installed, tmp_path):
    assert "ppo\n  Proximal policy optimization" in installed.npfl139("topics", cwd=tmp_path)
    installed.npfl139("start", "ppo", "--out", "work", cwd=tmp_path)
    done = installed.run("-c", COMMAND, "check", "work/ppo.py", cwd=tmp_path)
    assert done.returncode == 1 and "0 of 9 exercises pass" in done.stdout
    assert "CartPole-v1" in installed.npfl139("train", "ppo", "--steps", "512", "--episodes", "1", "--out", "run", cwd=tmp_path)
    shown = installed.npfl139("demo", "ppo", "--run", "run", "--episodes", "1", "--gif", "one.gif", cwd=tmp_path)
    assert "The first episode is in one.gif." in shown


@pytest.mark.usefixtures("sandbox")  # skips where there is none
def test_instructors_grade_and_report(installed, tmp_path):
    (tmp_path / "class" / "ada").mkdir(parents=True)
    (tmp_path / "class" / "ada" / "ppo.py").write_text((installed.site / "solutions" / "ppo.py").read_text())
    assert "26 / 26" in installed.npfl139("grade", "class", "--no-training", "--jobs", "1", cwd=tmp_path)
    (tmp_path / "results" / "report.html").unlink()
    installed.npfl139("report", "results", cwd=tmp_path)
    assert (tmp_path / "results" / "ada" / "report.html").exists() and (tmp_path / "results" / "report.html").exists()


def test_a_course_begins_where_it_was_installed(installed, tmp_path):
    (tmp_path / "people.csv").write_text("name\nAda Lovelace\n")
    installed.npfl139("course", "init", "course", "--roster", "people.csv", cwd=tmp_path)
    assert "Ada Lovelace" in installed.npfl139("course", "show", "--people", cwd=tmp_path / "course")


def test_a_bundle_is_installed_by_its_students_who_have_no_grader(installed, tmp_path):
    installed.npfl139("release", "r2d2", "--out", "bundle", cwd=tmp_path)
    students = Venv(tmp_path / "venv", with_ours=False)
    students.install(tmp_path / "bundle")
    assert students.npfl139("topics", cwd=tmp_path).startswith("r2d2\n")
    students.npfl139("start", "r2d2", cwd=tmp_path)
    done = students.run("-c", COMMAND, "check", "r2d2.py", cwd=tmp_path)
    assert done.returncode == 1 and "0 of 12 exercises pass" in done.stdout, done.stderr
    done = students.run("-c", COMMAND, "grade", "r2d2.py", cwd=tmp_path)
    assert done.returncode == 2 and "No such command 'grade'" in done.stderr


def test_what_needs_a_checkout_says_so_and_nothing_is_written_where_it_is_installed(installed, tmp_path):
    before = sorted(path for path in installed.site.rglob("*") if "__pycache__" not in path.parts)
    assert "no topic lies in a checkout here" in refused(installed.run("-c", COMMAND, "release", cwd=tmp_path))
    assert "use its checkout" in refused(installed.run("-c", COMMAND, "calibrate", "ppo", cwd=tmp_path))
    assert before == sorted(path for path in installed.site.rglob("*") if "__pycache__" not in path.parts)


def test_a_topic_that_it_wrote_is_found_beside_ours(installed, tmp_path):
    installed.npfl139("new-topic", "slot_machine", "--out", "project", cwd=tmp_path)
    installed.install(tmp_path / "project")
    topics = installed.npfl139("topics", cwd=tmp_path)
    assert "ppo\n" in topics and "slot_machine\n  Slot machine, 8 points" in topics
    done = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "npfl139_slot_machine.checks", cwd=tmp_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_another_distribution_of_our_name_is_detected_before_its_package_is_imported(installed, tmp_path):
    record = installed.site / "npfl139-2.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: npfl139\nVersion: 2.0\n")
    (record / "RECORD").write_text("npfl139/__init__.py,,\n")
    init = installed.site / "npfl139" / "__init__.py"
    ours = init.read_text()
    try:
        init.write_text("raise RuntimeError('theirs')\n")
        done = installed.run("-c", COMMAND, "topics", cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("npfl139: another distribution, called npfl139, is installed here too")
        assert "run `pip uninstall npfl139`, then install deep-rl-unit once more" in done.stderr and done.stderr.count("\n") == 1
        (record / "RECORD").write_text("elsewhere/__init__.py,,\n")
        init.write_text(ours)
        assert installed.npfl139("--version", cwd=tmp_path)
    finally:
        init.write_text(ours)
        for path in (*record.iterdir(), record):
            path.rmdir() if path.is_dir() else path.unlink()


def test_without_the_extra_for_instructors_its_commands_say_what_to_install(installed, tmp_path):
    (tmp_path / "homework").mkdir()
    hidden = "import sys; sys.modules['jinja2'] = None; " + COMMAND
    told = refused(installed.run("-c", hidden, "report", "homework", cwd=tmp_path))
    assert told == "npfl139: jinja2 is not installed: install it, or for the instructors' commands pip install 'deep-rl-unit[grader]'\n"


@pytest.mark.parametrize("value", ["no_such_module:app", "broken_commands:missing", "broken_commands:add"])
def test_broken_commands_of_others_are_told_and_stand_in_nobodys_way(installed, tmp_path, value):
    package = tmp_path / "broken_commands-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-commands\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[npfl139.commands]\nbroken = {value}\n")
    (tmp_path / "broken_commands.py").write_text("def add(app):\n    raise ValueError('no\\nway')\n")
    done = installed.run("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {COMMAND}", "topics", cwd=tmp_path)
    assert done.returncode == 0 and "ppo\n" in done.stdout
    assert done.stderr.startswith(f"npfl139: the commands {value} of broken-commands cannot be loaded (")
    assert done.stderr.endswith("): reinstall or uninstall it\n") and done.stderr.count("\n") == 1


def test_commands_of_others_are_added_as_a_function_or_as_an_app(installed, tmp_path):
    package = tmp_path / "more_commands-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: more-commands\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[npfl139.commands]\none = more_commands:add\ntwo = more_commands:app\n")
    (tmp_path / "more_commands.py").write_text(
        "import typer\napp = typer.Typer()\n@app.command()\ndef second(): print('two')\n"
        "def add(app):\n    @app.command()\n    def first(): print('one')\n"
    )
    for name, printed in (("first", "one\n"), ("second", "two\n")):
        done = installed.run("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {COMMAND}", name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, printed), done.stderr


@pytest.mark.parametrize("name", ["ppo", "Bandit", "off-policy", "class", ""])
def test_a_name_that_cannot_be_a_topics_is_refused(installed, tmp_path, name):
    told = refused(installed.run("-c", COMMAND, "new-topic", name, "--out", "project", cwd=tmp_path))
    assert ("there is a topic ppo already" if name == "ppo" else "cannot be the name of a topic") in told
    assert not (tmp_path / "project").exists()


def test_a_topic_is_not_written_over_anything(installed, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "mine.txt").write_text("mine")
    for folder, message in (("project", "project is not an empty folder"), ("project/mine.txt/new", "cannot write project/mine.txt/new")):
        assert message in refused(installed.run("-c", COMMAND, "new-topic", "bandit", "--out", folder, cwd=tmp_path))
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["mine.txt"]


def test_a_wheel_has_no_file_of_the_checkout_that_it_should_not_have(installed):
    top = {path.name for path in installed.site.iterdir() if "." not in path.name} - {"__pycache__"}
    assert top >= {"assignments", "grader", "lectures", "npfl139", "solutions"}
    assert not top & {"tests", "benchmarks", "examples"}
    assert (installed.site / "grader" / "topics" / "ppo" / "calibrated.json").exists()
    assert Path(installed.site / "npfl139" / "py.typed").exists() and (installed.site / "grader" / "py.typed").exists()
