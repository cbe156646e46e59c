"""An instructor runs hidden checks with pytest and reads what a student would read."""

import subprocess
import sys
from pathlib import Path

import pytest

from grader.contract.registry import available, load
from grader.plugin import only_submission

ROOT = Path(__file__).resolve().parents[1]
TOPIC = load(available()[0])
CHECK, OTHER = TOPIC.checks[0], next(check for check in TOPIC.checks if check.exercise != TOPIC.checks[0].exercise)


def pytest_run(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"grader/topics/{TOPIC.name}/checks.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_reference_passes_in_process():
    status, printed = pytest_run("-k", CHECK.name)
    assert status == 0
    assert "1 passed" in printed


@pytest.mark.usefixtures("sandbox")  # skips where there is none
def test_a_sandboxed_submission_fails_with_the_students_sentences_only(tmp_path):
    stub = f'\n\ndef {CHECK.exercise}(*_, **__):\n    raise NotImplementedError("{CHECK.exercise}")\n'
    (tmp_path / "homework.py").write_text(TOPIC.solution.read_text() + stub)
    status, printed = pytest_run("--submission", str(tmp_path / "homework.py"), "-k", f"{CHECK.name} or {OTHER.name}")
    assert status == 1
    assert "1 failed, 1 passed" in printed
    assert f"missing: {CHECK.exercise} is not implemented yet\n{CHECK.claim}" in printed
    assert "Traceback" not in printed and "Error" not in printed


@pytest.mark.usefixtures("sandbox")
def test_a_submission_that_cannot_be_loaded_says_why(tmp_path):
    (tmp_path / "homework.py").write_text("x = 1 / 0\n")
    status, printed = pytest_run("--submission", str(tmp_path / "homework.py"), "-x")
    assert status == 1
    assert "crashed: the file cannot be loaded: ZeroDivisionError in line 1: division by zero\n" in printed and "Traceback" not in printed


def test_what_cannot_be_checked_ends_the_run_with_a_sentence(tmp_path):
    with pytest.raises(pytest.exit.Exception, match=r"nowhere\.py cannot be read: No such file or directory"):
        only_submission(tmp_path / "nowhere.py", TOPIC)
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(pytest.exit.Exception, match=r"broken\.py: Python cannot read the code in line 1"):
        only_submission(tmp_path / "broken.py", TOPIC)
    for student in ("adam", "eva"):
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / f"{TOPIC.name}.py").write_text("x = 1\n")
    with pytest.raises(pytest.exit.Exception, match="holds 2 submissions: name one file"):
        only_submission(tmp_path / "class", TOPIC)
