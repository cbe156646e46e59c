"""What several test files share."""

import subprocess
import sys

import pytest

import npfl139.cli
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


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `npfl139` with the arguments on a wide terminal; return (status, what it printed, what it complained)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["npfl139", *map(str, arguments)])
        monkeypatch.setattr(npfl139.cli.console, "_width", 200)
        with pytest.raises(SystemExit) as ended:
            npfl139.cli.main()
            sys.exit(0)
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run
