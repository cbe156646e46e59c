"""What several test files share."""

import pytest
import torch

from grader.sandbox import SandboxUnavailable, open_sandbox

torch.set_num_threads(1)  # as in grading; more threads only wait for one another on networks this small


@pytest.fixture(scope="session")
def sandbox():
    """The bubblewrap sandbox, opened once: its preloaded parent takes seconds to start, its workers milliseconds."""
    try:
        opened = open_sandbox("bwrap").__enter__()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield opened
    opened.__exit__()


@pytest.fixture(scope="session")
def weak_sandbox():
    """The fallback without namespaces, opened once."""
    with open_sandbox("process") as opened:
        yield opened
