"""How far long work is, told in a log: a line a minute, with the time that remains."""

import io

import pytest
from rich.console import Console

from npfl139 import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows what `clock[0]` says."""
    seconds = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def test_the_rest_takes_as_long_as_the_work_until_now(clock):
    pace = progress.Pace(done=100)
    assert pace.left(100, 1000) == ""  # nothing is known yet
    clock[0] += 60
    assert pace.left(200, 1000) == ", about 8 min left"
    assert pace.left(110, 1000) == ", about 1 h 29 min left"
    assert pace.left(990, 1000) == pace.left(1000, 1000) == ""


def test_a_log_has_a_line_a_minute(clock):
    log = Console(file=io.StringIO())
    with progress.bar(log, "ppo") as tell:
        for done in range(1, 7):
            clock[0] += 25
            tell("ppo [mutants]", done, 60)
    assert log.file.getvalue() == "ppo [mutants]: 3 of 60, about 24 min left\nppo [mutants]: 6 of 60, about 22 min left\n"


def test_a_training_without_a_terminal_tells_how_far_it_is(clock):
    log = Console(file=io.StringIO())
    display = progress.display(log, total=1000, done=0)
    display.start()
    for steps in (100, 200):
        clock[0] += 45
        display.update(steps, {progress.RETURN: [[steps, 2.0]]})
    display.stop(200, {})
    assert "200 of 1000 steps, return 2.0, about 6 min left\n" in log.file.getvalue()
