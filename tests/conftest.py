"""What several test files share."""

import subprocess

import pytest

from grader.grading.sandbox import open_sandbox


@pytest.fixture(scope="session")
def sandbox():
    """The bubblewrap sandbox, opened once: its preloaded parent takes seconds to start, its workers milliseconds."""
    try:
        subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"bubblewrap does not work on this machine: {error}")
    with open_sandbox("bwrap") as opened:
        yield opened


@pytest.fixture(scope="session")
def weak_sandbox():
    """The fallback without namespaces, opened once."""
    with open_sandbox("process") as opened:
        yield opened
