"""Lets an instructor run the hidden checks of a topic with pytest: pytest grader/topics/ppo.py --submission my_ppo.py

Without --submission the reference solution is checked, in process. All of pytest's own options work.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.diagnosis import prerequisite_sources, trusted
from grader.expect import Wrong
from grader.sandbox import KINDS, Sandbox, SandboxUnavailable, open_sandbox
from grader.spec import Topic
from grader.student import Sandboxed, Student, StudentError
from grader.submissions import NoSubmission, Submission, collect
from grader.topics import ORDER


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hidden checks")
    group.addoption("--submission", type=Path, metavar="FILE", help="check this .py, .ipynb or .zip file, in the sandbox")
    group.addoption("--sandbox", choices=KINDS, default="bwrap", help="where the submission runs (default: bwrap)")
    group.addoption("--seed", type=int, default=0, help="seed of the inputs, as in npfl139 grade (default: 0)")


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a check as the grader does, and report what is wrong as the student would read it; only our own errors have a traceback."""
    check = pyfuncitem.obj.check
    try:
        check.run(pyfuncitem.funcargs["student"], pyfuncitem.config.option.seed)
        return True
    except Wrong as error:
        message = f"wrong: {error}"
    except StudentError as error:
        message = str(error)
    pytest.fail(f"{message}\n{check.claim}", pytrace=False)


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    try:
        with open_sandbox(request.config.option.sandbox) as opened:
            yield opened
    except SandboxUnavailable as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture
def student(request: pytest.FixtureRequest) -> Iterator[Student]:
    """The submission, freshly loaded for every check, or the reference."""
    topic = request.module.TOPIC
    path = request.config.option.submission
    if path is None:
        yield trusted(topic, topic.solution.read_text(), topic.solution.name)
        return
    submission = only_submission(path, topic)
    with Sandboxed(request.getfixturevalue("sandbox")) as loaded:
        try:
            loaded.load(submission.source, topic.name, submission.filename, prerequisite_sources(topic))
        except StudentError as error:
            pytest.fail(f"{error.verdict}: the file cannot be loaded: {error.feedback}", pytrace=False)
        yield loaded


@pytest.fixture
def rng() -> None:
    """Let pytest accept the argument of that name; `Check.run` draws it from the seed."""


def only_submission(path: Path, topic: Topic) -> Submission:
    """Return the submission at a path; where there is not exactly one that can be run, end pytest with a sentence."""
    try:
        submissions = collect([path], ORDER, topic.name)
    except NoSubmission as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    if len(submissions) != 1:
        pytest.exit(f"{path} holds {len(submissions)} submissions: name one file", returncode=pytest.ExitCode.USAGE_ERROR)
    if submissions[0].problem:
        pytest.exit(f"{path}: {submissions[0].problem}", returncode=pytest.ExitCode.TESTS_FAILED)
    return submissions[0]
