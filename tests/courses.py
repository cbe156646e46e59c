"""Courses for tests, graded by an engine that runs nothing: a submission says itself which checks pass."""

import contextlib
import datetime
import functools
import io
import os
import tempfile
from pathlib import Path

from sample_results import check

import npfl139.cli
from grader import commands
from grader.course.course import open_course
from grader.course.gradebook import Gradebook
from grader.grading.provenance import basis_of
from grader.intake.contents import Content
from grader.intake.deliveries import Claim, Delivery
from grader.records import Provenance, Result

WRONG = {"verdict": "wrong", "mistake": "treats truncation as termination"}
HERE = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
DUE = datetime.datetime(2024, 11, 2, 18, 0, tzinfo=datetime.UTC)
SETTINGS = """
title = "Deep reinforcement learning"
term = "2026/27"
seed = 7
sandbox = "process"

[late]
grace_minutes = 10

[assignments.ppo]
due = 2024-11-02T18:00:00

[assignments.trpo]
due = 2024-11-09T18:00:00
weight = 2
"""
ROSTER = """\
name,email,sid,group,github
Ada Lovelace,ada@x.cz,1001,A,ada-l
Blaise Pascal,blaise@x.cz,1002,A,
Carl Gauß,carl@x.cz,1003,B,
Anna Li,anna@x.cz,1004,B,
"""


@functools.cache
def empty_gradebook() -> bytes:
    """Return a gradebook's file: its migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        Gradebook(Path(folder) / "gradebook.db")
        return (Path(folder) / "gradebook.db").read_bytes()


def course_in(folder: Path, settings: str = SETTINGS, roster: str | None = ROSTER):
    """Return a course that lies in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "gradebook.db").exists():
        (folder / "gradebook.db").write_bytes(empty_gradebook())
    (folder / "course.toml").write_text(settings, encoding="utf-8")
    if roster is not None:
        (folder / "roster.csv").write_text(roster, encoding="utf-8")
    return open_course(folder)


def delivery(who, passing, after=-1.0, topic="ppo", system="moodle", key=None, **fields):
    """Return a delivery of one person, or of a team, of a program that passes so many checks, some hours after the due date."""
    people = who if isinstance(who, tuple) else (who,)
    members = tuple(each if isinstance(each, Claim) else Claim(system, key or each, each) for each in people)
    at = None if after is None else DUE + datetime.timedelta(hours=after)
    told = {"submitted_at": at, "time_source": "platform" if at else "unknown", "origin": f"{people[0]}_file"}
    files = () if passing is None else ((f"{topic}.py", Content(f"passes {passing}".encode())),)
    return Delivery(members=members, files=files, topic=topic, **(told | fields))


def marked(submission, options):
    """Return the result of a submission that says how many of three checks, of two points each, pass."""
    passing = int(submission.unread[0][1].split()[1]) if submission.unread else 0
    checks = [check("lambda_advantage", number, points=2.0, **({} if number < passing else WRONG)) for number in range(3)]
    provenance = Provenance(basis_of(submission, options), {}, 1, "none", 0.1 * passing)
    return Result.of(submission.student, submission.topic, checks, [], provenance, problem=submission.problem)


class NoDisplay:
    """Shows nothing."""

    def __init__(self, total, jobs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def started(self, submission):
        pass

    def finished(self, result):
        pass


def engine(submissions, jobs, options, started):
    for submission in submissions:
        started(submission)
        yield marked(submission, options)


def npfl139_in(folder, monkeypatch, *arguments, complaints=None):
    """Run a command in a folder; return its status and what it printed, with what it complained of unless that goes elsewhere."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(commands, "engine", engine)
    monkeypatch.setattr("sys.argv", ["npfl139", *map(str, arguments)])
    printed = io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaints or printed):
        try:
            npfl139.cli.main()
        except SystemExit as ended:
            status = ended.code
    return status, printed.getvalue()
