"""A simulated course comes out as it was planted: every person, date, attempt and mark, from each platform, through kills and regrades."""

import datetime
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from courses import HERE, NoDisplay
from sqlalchemy import func, select

from examples.make_course import FIRST_DUE, PLATFORMS, main, make_course, time_of
from examples.planted import drawn, parts_of, rewritten
from examples.verified import Truth, Verified, persons_and_dates, verify
from grader.classroom import engines
from grader.contract.registry import available, load
from grader.course import decisions, questions
from grader.course.arrivals import collected, take_in
from grader.course.course import open_course
from grader.course.grading import grade_course
from grader.course.marking import marks_of
from grader.course.models import Grading, Job, Submission
from grader.course.people import person_called
from grader.grading import provenance
from grader.grading.diagnosis import trusted
from grader.grading.grade import verdict_of
from grader.intake.adapters import deliveries
from tests.venvs import COMMAND

TOPICS = ("transformed_rewards", "retrace")
DUES = {name: FIRST_DUE + datetime.timedelta(weeks=week) for week, name in enumerate(TOPICS)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return folder, make_course(folder, students=14, seed=1, topics=TOPICS)


@pytest.mark.parametrize("name", ["trpo", "r2d2", "ngu", "agent57"])
def test_who_copies_gets_what_the_other_gets(name):
    topic, parts, rng = load(name), parts_of(name), random.Random(3)
    text = drawn(parts, rng, wrong=0.0).text
    for copy in (text, *(rewritten(text, topic.exercises, rng) for _ in range(3))):
        student = trusted(topic, copy, topic.solution.name)
        assert {verdict_of(topic, check, student, 0)[0] for check in topic.checks} == {"passed"}


def test_what_is_rewritten_does_the_same():
    body = ("r = [x for x in values]", "r = [x + 1 for x in r if x < most]", "most = most + 1", "return r, most")
    text = "\n    ".join(("def f(values, most):", *body))
    for seed in range(20):
        scope, most = {}, np.zeros(1)
        exec(rewritten(text, ("f",), random.Random(seed)), scope)
        assert scope["f"](values=[-2, -1, 3], most=most) == ([-1, 0], 1) and most == 0


def taken_in(folder, platform):
    """Return the course after both exports of each assignment of a platform were taken in, and whom nobody knew."""
    course, strangers = open_course(folder), []
    for name in TOPICS:
        for number in (1, 2):
            path = folder / "exports" / name / platform / str(number)

            def read(path, deadlines, name=name):
                return deliveries(path, topics=available(), assignment=name, deadlines=deadlines)

            for arrival in take_in(course, collected(course, name, [path], read), name):
                strangers += arrival.strangers
    return course, strangers


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_person_date_and_attempt_comes_out_as_planted(planted, tmp_path, platform):
    course, strangers = taken_in(shutil.copytree(planted[0], tmp_path / "course", symlinks=True), platform)
    assert strangers == []
    found = Verified()
    persons_and_dates(course, Truth.of(course.folder), platform, found)
    assert found.differs == []
    assert found.right["persons"] == 14 and found.right["dates"] == 28


def test_the_file_says_what_was_planted(planted):
    folder, truth = planted
    told = json.loads((folder / "planted.json").read_text())
    assert len(told["people"]) == 14 and len(told["handed"]) == len(truth.handed)
    kinds = {each.kind for each in truth.handed}
    assert kinds == {"right", "wrong", "variant", "own", "copy", "broken", "archive", "hostile"}
    copies = [each for each in truth.handed if each.copy_of]
    assert copies and all(truth.contents[each.sha256] for each in copies)


def test_the_program_makes_a_course_and_tells_how_another_one_differs(planted, tmp_path, monkeypatch, capsys):
    arguments = ["--students", "3", "--topics", "retrace", "--platforms", "gradescope", "nbgrader"]
    monkeypatch.setattr(sys, "argv", ["make_course", str(tmp_path / "made"), *arguments])
    main()
    assert "3 people, 3 attempts" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "made" / "exports" / "retrace").iterdir()} == {"gradescope", "nbgrader"}
    course, _ = taken_in(shutil.copytree(planted[0], tmp_path / "course", symlinks=True), "nbgrader")
    with course.gradebook.writing() as session:
        session.delete(session.scalars(select(Submission)).first())
    monkeypatch.setattr(sys, "argv", ["make_course", str(course.folder), "--verify", "nbgrader"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().out
    assert ended.value.code == 1 and "as planted: 14 persons, 27 dates" in told and "waiting after 1 attempts" in told


def in_time(course, sid, name):
    """Return the attempts of a person that count: what is not too late."""
    setting = course.setting(name)
    end = setting.due + datetime.timedelta(days=setting.late.days, minutes=setting.late.grace_minutes)
    return [each for each in Truth.of(course.folder).attempts(course, sid, name, "gradescope") if time_of(each) <= end]


def grade(course, **options):
    return grade_course(course, engines.graded, by="jan", jobs=1, display=NoDisplay, **options)


def count(course, table):
    with course.gradebook.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def marks(course):
    return {(mark.person.sid, mark.assignment): mark for mark in marks_of(course, results=True)}


def killed_after(folder, course, gradings):
    """Grade in a process of its own, and kill it once so many results are kept."""
    command = [sys.executable, "-c", COMMAND, "grade", "--jobs", "1"]
    process = subprocess.Popen(command, cwd=folder, env=HERE, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and count(course, Grading) < gradings:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.usefixtures("sandbox")  # skips where there is none
def test_every_mark_comes_out_as_planted(planted, tmp_path, monkeypatch):
    folder, truth = planted
    course, _ = taken_in(shutil.copytree(folder, tmp_path / "course", symlinks=True), "gradescope")
    killed_after(course.folder, course, 3)
    kept = count(course, Grading)
    assert 3 <= kept < count(course, Submission)
    assert any("not graded" in each or "waiting" in each for each in verify(course.folder, "gradescope").differs)
    everything = {each for human in truth.people for name in TOPICS for each in in_time(course, human.sid, name)}
    assert len(grade(course).results) == len(everything) - kept
    assert count(course, Grading) == len(everything) and count(course, Job) == 0

    found = verify(course.folder, "gradescope", copies=False)
    assert found.differs == []
    assert found.right == {"persons": 14, "dates": 28, "marks": 28, "copies' marks": 2}

    changed = provenance._topic
    monkeypatch.setattr(provenance, "_topic", lambda name: "1" * 64 if name == "retrace" else changed(name))
    before = {key: mark.points for key, mark in marks(course).items()}
    outcome = grade(course)
    assert (outcome.results, outcome.changed) == ([], sum(each.assignment == "retrace" for each in everything))
    assert {result.topic for result in grade(course, regrade="changed").results} == {"retrace"}
    assert {key: mark.points for key, mark in marks(course).items()} == before  # the check says the same as before
    assert questions.changes(course, "2", "now") == []

    [late] = [each for each in truth.handed if time_of(each) == DUES["retrace"] + datetime.timedelta(hours=30)]
    with course.gradebook.writing() as session:
        person, row = person_called(session, late.people[0]), course.row(session, "retrace")
        decisions.adjust(session, person, row, 1.5, "explained it well", "jan")
    mark = marks(course)[late.people[0], "retrace"]
    assert verify(course.folder, "gradescope", copies=False).differs == []
    assert mark.points == pytest.approx(mark.score + 1.5 - 0.2 * load("retrace").max_score)
    [change] = questions.changes(course, "4", "now")
    assert change.reasons == ("adjusted by +1.5",)

    decisions.forget(course, lambda session: person_called(session, late.people[0]), keep_statistics=False)
    again = open_course(course.folder)
    assert late.people[0] not in {sid for sid, _ in marks(again)} and len(marks(again)) == 26
    left = b"".join(path.read_bytes() for path in course.folder.glob("*") if path.is_file() and path.name != "planted.json")
    human = next(each for each in truth.people if each.sid == late.people[0])
    assert human.email.encode() not in left and truth.contents[late.sha256][-30:] not in left
