"""Lets an instructor run the hidden checks of a topic with pytest: pytest grader/topics/ppo.py --submission my_ppo.py

Without --submission the reference solution is checked, in process. All of pytest's own options work.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
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
    group.addoption("--seed", type=int, default=0, help="seed of the inputs (default: 0, as npfl139 grade)")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Report what is wrong with the submission as the student would read it; only the grader's own errors have a traceback."""
    try:
        return (yield)
    except Wrong as error:
        message = f"wrong: {error}"
    except StudentError as error:
        message = str(error)
    pytest.fail(f"{message}\n{pyfuncitem.obj.check.claim}", pytrace=False)


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
        with suppress(StudentError):  # then every call of the check raises it again, and is reported as its failure
            loaded.load(submission.source, topic.name, submission.filename, prerequisite_sources(topic))
        yield loaded


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """The inputs that `npfl139 grade` would draw."""
    return request.function.check.rng(request.config.option.seed)


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
