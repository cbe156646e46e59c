"""What several test files share."""

import pytest

from grader.sandbox import SandboxUnavailable, open_sandbox


@pytest.fixture(scope="session")
def sandbox():
    """The bubblewrap sandbox, opened once: its preloaded parent takes seconds to start, its workers milliseconds."""
    try:
        opened = open_sandbox("bwrap").__enter__()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield opened
    opened.__exit__()
