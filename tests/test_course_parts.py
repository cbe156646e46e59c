"""A course graded in copies of its folder and put together again is the course graded at once; nothing else is taken over."""

import shutil

import pytest
from courses import SETTINGS, course_in, delivery, npfl139_in
from sqlalchemy import func, select

from grader.course import parts
from grader.course.arrivals import take_in
from grader.course.course import open_course
from grader.course.grading import grade_course
from grader.course.marking import marks_of
from grader.course.models import Grading, Job, Run
from grader.course.settings import CourseError

PEOPLE = ("Ada Lovelace", "Blaise Pascal", "Carl Gauß", "Anna Li")
SECRET = SETTINGS.replace("seed = 7", 'seed = "secret"')


@pytest.fixture
def course(tmp_path):
    made = course_in(tmp_path / "course")
    for number, who in enumerate(PEOPLE):
        take_in(made, [delivery(who, number % 4), delivery(who, 3 - number % 4, topic="trpo")], None)
    return made


@pytest.fixture
def copies(course, tmp_path):
    return [shutil.copytree(course.folder, tmp_path / f"part-{number}") for number in (1, 2)]


@pytest.fixture
def run(monkeypatch):
    def run(folder, *arguments, status=0):
        ended, printed = npfl139_in(folder, monkeypatch, *arguments)
        assert ended == status, printed
        return printed

    return run


def scores(course):
    return [(mark.person.name, mark.assignment, mark.state, mark.points) for mark in marks_of(course)]


def count(course, table):
    with course.gradebook.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_parts_put_together_are_the_course_graded_at_once(course, copies, run, tmp_path):
    alone = shutil.copytree(course.folder, tmp_path / "alone")
    run(alone, "grade")
    graded = [
        int(run(copy, "grade", "--part", f"{number}/2").split(" graded.")[0].rpartition(" ")[2]) for number, copy in enumerate(copies, 1)
    ]
    assert sum(graded) == 8 and all(graded)
    told = run(course.folder, "merge", *copies, "--out", ".")
    assert told.splitlines() == [f"{copy}: {number} gradings taken over." for copy, number in zip(copies, graded, strict=True)]
    assert scores(course) == scores(open_course(alone))
    assert {state for _, _, state, _ in scores(course)} == {"graded"} and (count(course, Grading), count(course, Job)) == (8, 0)
    assert "there was nothing to grade" in run(course.folder, "grade")
    assert "nothing that is not in the gradebook" in run(course.folder, "merge", copies[0], "--out", ".") and count(course, Grading) == 8
    assert "merged from part-2" in run(course.folder, "course", "show")
    assert "6 gained, 0 lost" in run(course.folder, "diff", "0")


def test_what_is_no_copy_is_refused_and_nothing_taken_over(course, copies, run, tmp_path):
    other = course_in(tmp_path / "other")
    take_in(other, [delivery("Anna Li", 2)], None)
    run(other.folder, "grade")
    assert "is no copy of" in run(course.folder, "merge", other.folder, "--out", ".", status=2)
    assert "name the folder of a copy" in run(course.folder, "merge", course.folder, "--out", ".", status=2)
    assert "there is no course.toml in" in run(course.folder, "merge", tmp_path / "nowhere", "--out", ".", status=2)
    (copies[1] / "course.toml").write_text(SETTINGS.replace("seed = 7", "seed = 8"))
    run(copies[0], "grade", "--part", "1/2")
    run(copies[1], "grade", "--part", "2/2")
    assert "different secret seeds" in run(course.folder, "merge", *copies, "--out", ".", status=2)
    assert count(course, Run) == 1


def test_all_parts_need_one_secret_seed(course, copies, run, tmp_path):
    for folder in (course.folder, *copies):
        (folder / "course.toml").write_text(SECRET)
    assert "--seed-file" in run(copies[0], "grade", "--part", "1/2", status=2)
    for number, copy in enumerate(copies, 1):
        run(copy, "grade", "--part", f"{number}/2", "--seed-file", tmp_path / "secret")
    run(course.folder, "merge", *copies, "--out", ".")
    assert count(course, Grading) == 8
    assert "such as 3/8" in run(copies[0], "grade", "--part", "3/2", status=2)
    (course.folder / "course.toml").write_text(SETTINGS)
    assert "course.toml tells the seed" in run(course.folder, "grade", "--seed-file", tmp_path / "secret", status=2)


def test_what_the_grader_failed_at_elsewhere_is_graded_here(course, copies):
    from test_course import faulty

    copy = open_course(copies[0])
    grade_course(copy, faulty, by="jan", jobs=1)
    assert parts.merge(course, copies[0], "jan") == 0 and count(course, Run) == 0
    with pytest.raises(CourseError, match="no course.toml"):
        parts.merge(course, copies[0] / "none", "jan")
