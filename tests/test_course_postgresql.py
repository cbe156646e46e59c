"""A course whose gradebook is in PostgreSQL: taken in, graded by two programs, decided, compared, forgotten as with a file."""

import threading

import pytest
from courses import SETTINGS, NoDisplay, course_in, delivery, engine
from sqlalchemy import func, select

from grader.course import decisions, questions
from grader.course.arrivals import take_in
from grader.course.course import open_course
from grader.course.grading import grade_course
from grader.course.marking import marks_of
from grader.course.models import Grading, Job
from grader.course.people import person_called
from tests.databases import emptied, postgresql

PEOPLE = ("Ada Lovelace", "Blaise Pascal", "Carl Gauß", "Anna Li")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with postgresql(tmp_path_factory.mktemp("postgresql")) as url:
        yield emptied(url)


def test_a_course_is_kept_on_a_server(url, tmp_path):
    settings = SETTINGS.replace("seed = 7", f'seed = 7\ngradebook = "{url}"')
    course, other = course_in(tmp_path / "course", settings), open_course(tmp_path / "course")
    first = [delivery(name, number) for number, name in enumerate(PEOPLE)]
    again = delivery("Ada Lovelace", 3, after=25, origin="\x00 \ud800")
    both = [threading.Thread(target=take_in, args=(each, first, "ppo")) for each in (course, other)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    take_in(course, [again], "ppo")

    outcomes = []
    graders = [
        threading.Thread(target=lambda each=each: outcomes.append(grade_course(each, engine, by="jan", jobs=1, display=NoDisplay)))
        for each in (course, other)
    ]
    for thread in graders:
        thread.start()
    for thread in graders:
        thread.join()
    assert sum(len(outcome.results) for outcome in outcomes) == 5
    with course.gradebook.reading() as session:
        assert session.scalar(select(func.count()).select_from(Grading)) == 5
        assert session.scalar(select(func.count()).select_from(Job)) == 0

    with course.gradebook.writing() as session:
        decisions.adjust(session, person_called(session, "blaise"), course.row(session, "ppo"), 1.0, "why", "jan")
    points = {mark.person.name: mark.points for mark in marks_of(other, ["ppo"], results=True)}
    assert points == {"Ada Lovelace": pytest.approx(4.8), "Blaise Pascal": 3.0, "Carl Gauß": 4.0, "Anna Li": 6.0}
    assert [change.person.name for change in questions.changes(course, "0", "now")] == [
        "Blaise Pascal",
        "Carl Gauß",
        "Ada Lovelace",
        "Anna Li",
    ]
    decisions.forget(course, lambda session: person_called(session, "anna"), keep_statistics=True)
    assert len(marks_of(open_course(course.folder), ["ppo"])) == 3
