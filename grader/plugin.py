"""The pytest plugin that runs the hidden checks of a topic: pytest grader/topics/ppo/checks.py --submission my_ppo.py

Without --submission the reference solution is checked, in process. All of pytest's own options work. It is registered as an entry
point, so it also finds the checks of a topic from elsewhere, and whatever is no check it leaves alone.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:  # they import torch, and pytest loads this module wherever it runs
    from grader.contract.spec import Check, Topic
    from grader.contract.student import Student
    from grader.grading.sandbox import Sandbox
    from grader.records import Submission


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hidden checks")
    group.addoption("--submission", type=Path, metavar="FILE", help="check this .py, .ipynb or .zip file, in the sandbox")
    group.addoption("--sandbox", choices=("bwrap", "process"), default="bwrap", help="where the submission runs (default: bwrap)")
    group.addoption("--hidden-seed", type=int, default=0, help="seed of the inputs, as --seed of npfl139 grade (default: 0)")


def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> pytest.Function | None:
    """Collect what is declared as a check, however pytest is told to recognize tests."""
    return pytest.Function.from_parent(collector, name=name) if check_of(obj) else None


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a check as the grader does, and report what is wrong as the student would read it; only our own errors have a traceback."""
    check = check_of(pyfuncitem.obj)
    if check is None:
        return None
    from grader.contract.expect import Wrong
    from grader.contract.student import StudentError

    try:
        check.run(cast("Student", pyfuncitem.funcargs["student"]), pyfuncitem.config.option.hidden_seed)
        return True
    except Wrong as error:
        message = f"wrong: {error}"
    except StudentError as error:
        message = str(error)
    pytest.fail(f"{message}\n{check.claim}", pytrace=False)


def check_of(function: object) -> "Check | None":
    """Return the check that a function is declared to be, None where it is none."""
    spec = sys.modules.get("grader.contract.spec")  # before it is imported there is no check
    check = getattr(function, "check", None) if spec else None
    return check if spec and type(check) is spec.Check else None


@pytest.fixture(scope="session")
def hidden_checks_sandbox(request: pytest.FixtureRequest) -> "Iterator[Sandbox]":
    from grader.grading.sandbox import SandboxUnavailable, open_sandbox

    try:
        with open_sandbox(request.config.option.sandbox) as opened:
            yield opened
    except SandboxUnavailable as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture
def student(request: pytest.FixtureRequest) -> "Iterator[Student]":
    """The submission, freshly loaded for every check, or the reference."""
    from grader.contract.student import StudentError
    from grader.grading.diagnosis import trusted
    from grader.grading.remote import Sandboxed

    topic = request.module.TOPIC
    path = request.config.option.submission
    if path is None:
        yield trusted(topic, topic.solution.read_text(), topic.solution.name)
        return
    submission = only_submission(path, topic)
    with Sandboxed(request.getfixturevalue("hidden_checks_sandbox")) as loaded:
        try:
            loaded.load(submission.source or "", topic.name, submission.filename, topic.prerequisite_sources)
        except StudentError as error:
            pytest.fail(f"{error.verdict}: the file cannot be loaded: {error.feedback}", pytrace=False)
        yield loaded


@pytest.fixture
def rng() -> None:
    """Let pytest accept the argument of that name; `Check.run` draws it from the seed."""


def only_submission(path: Path, topic: "Topic") -> "Submission":
    """Return the submission at a path; where there is not exactly one that can be run, end pytest with a sentence."""
    from grader.classroom.intake import NoSubmission, collect
    from grader.contract.registry import available

    try:
        submissions = collect([path], available(), topic.name)
    except NoSubmission as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    if len(submissions) != 1:
        pytest.exit(f"{path} holds {len(submissions)} submissions: name one file", returncode=pytest.ExitCode.USAGE_ERROR)
    if submissions[0].problem:
        pytest.exit(f"{path}: {submissions[0].problem}", returncode=pytest.ExitCode.TESTS_FAILED)
    return submissions[0]
