"""From what a platform packed to marks: nothing is lost, nothing counts twice, and every mark says how it came about."""

import datetime
import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest
from courses import DUE, SETTINGS, NoDisplay, course_in, delivery, engine, marked
from sqlalchemy import delete, func, select, update

from grader.course import checkcode, decisions, grading, models, questions
from grader.course.arrivals import collected, take_in
from grader.course.course import open_course
from grader.course.gradebook import Gradebook, GradebookError
from grader.course.grading import grade_course
from grader.course.marking import marks_of, totals
from grader.course.models import Grading, Job, Submission
from grader.course.people import person_called
from grader.course.settings import CourseError
from grader.intake.deliveries import Claim

HOUR = datetime.timedelta(hours=1)
ADA, BLAISE, CARL, ANNA = "Ada Lovelace", "Blaise Pascal", "Carl Gauß", "Anna Li"


@pytest.fixture
def course(tmp_path):
    return course_in(tmp_path / "course")


def grade(course, with_engine=engine, **options):
    return grade_course(course, with_engine, by="jan", jobs=1, display=NoDisplay, **options)


def mark_of(course, name, assignment="ppo", **options):
    [mark] = [each for each in marks_of(course, [assignment], **options) if each.person.name == name]
    return mark


def decide(course, what, name, *told, assignment="ppo"):
    with course.gradebook.writing() as session:
        return what(session, person_called(session, name), course.row(session, assignment), *told)


def count(course, table):
    with course.gradebook.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_what_was_handed_in_is_graded_and_marked(course):
    take_in(course, [delivery(ADA, 3), delivery(BLAISE, 1)], "ppo")
    assert mark_of(course, ADA).state == "waiting"
    outcome = grade(course)
    assert [(result.student, result.score) for result in outcome.results] == [(ADA, 6.0), (BLAISE, 2.0)]
    mark = mark_of(course, BLAISE, results=True)
    assert (mark.state, mark.points, mark.max_points, mark.attempt, mark.attempts) == ("graded", 2.0, 6.0, 1, 1)
    assert mark.result.student == BLAISE and mark.result.score == 2.0
    assert (mark.origin, mark.submitted_at, mark.due, mark.late) == ("Blaise Pascal_file", DUE - HOUR, DUE, None)
    assert mark.person.keys == {"moodle": BLAISE}
    assert mark_of(course, CARL).state == "missing" and mark_of(course, CARL).max_points == 6.0


def test_nothing_is_taken_in_or_graded_twice(course):
    deliveries = [delivery(ADA, 3), delivery(BLAISE, 1, after=None), delivery(CARL, None, problem="there is no ppo.py: hand it in")]
    assert [each.status for each in take_in(course, deliveries, "ppo")] == ["new"] * 3
    assert len(grade(course).results) == 3
    assert [each.status for each in take_in(course, deliveries, "ppo")] == ["known"] * 3
    assert grade(course).results == [] and count(course, Submission) == count(course, Grading) == 3


def test_a_dry_run_tells_and_writes_nothing(course):
    [arrival] = take_in(course, [delivery(ADA, 3)], "ppo", dry_run=True)
    assert (arrival.status, arrival.people[0].name) == ("new", ADA)
    assert count(course, Submission) == count(course, models.Content) == 0
    assert count(course, models.Alias) == 1  # the roster's


def test_what_was_handed_in_again_is_another_attempt(course):
    first, second, third = delivery(ADA, 1, after=-3), delivery(ADA, 3, after=-2), delivery(ADA, 1, after=-1)
    assert [each.attempt for each in take_in(course, [second, first], "ppo")] == [1, 2]  # by their times
    assert [(each.status, each.attempt) for each in take_in(course, [third, second, first], "ppo")] == [
        ("known", 1),
        ("known", 2),
        ("new", 3),
    ]
    assert [(each.status, each.attempt) for each in take_in(course, [first, third], "ppo")] == [("known", 1), ("known", 3)]
    grade(course)
    assert (mark_of(course, ADA).points, mark_of(course, ADA).attempt) == (6.0, 2)
    last = course_in(course.folder, settings=SETTINGS.replace("[late]", 'attempts = "last"\n[late]'))
    assert (mark_of(last, ADA).points, mark_of(last, ADA).attempt) == (2.0, 3)


def test_the_same_file_once_more_is_no_other_attempt(course):
    take_in(course, [delivery(ADA, 1, after=-3)], "ppo")
    [again] = take_in(course, [delivery(ADA, 1, after=30)], "ppo")
    assert again.status == "known" and count(course, Submission) == 1


@pytest.mark.parametrize(
    ("after", "penalty", "state"),
    [
        (0, 0, "graded"),
        (10 / 60, 0, "graded"),
        (11 / 60, 0.6, "graded"),
        (24, 0.6, "graded"),
        (24.1, 1.2, "graded"),
        (7 * 24, 4.2, "graded"),
    ],
)
def test_being_late_costs_a_part_for_every_day_that_has_begun(course, after, penalty, state):
    take_in(course, [delivery(ADA, 3, after=after)], "ppo")
    grade(course)
    mark = mark_of(course, ADA)
    assert (mark.state, mark.penalty, mark.points) == ("graded", pytest.approx(penalty), pytest.approx(6 - penalty))
    assert (mark.late is None) == (penalty == 0)


def test_what_comes_far_too_late_is_not_graded(course):
    [arrival] = take_in(course, [delivery(ADA, 3, after=8 * 24)], "ppo")
    assert arrival.too_late
    assert grade(course).results == []
    mark = mark_of(course, ADA)
    assert (mark.state, mark.points, mark.late) == ("graded", 0.0, 8 * 24 * HOUR)
    take_in(course, [delivery(ADA, 1, after=-1)], "ppo")
    grade(course)
    assert mark_of(course, ADA).points == 2.0


def test_the_best_attempt_is_the_best_with_its_penalty(course):
    take_in(course, [delivery(ADA, 2, after=-1), delivery(ADA, 3, after=6 * 24)], "ppo")
    grade(course)
    assert (mark_of(course, ADA).attempt, mark_of(course, ADA).points) == (1, 4.0)


def test_a_time_that_is_only_the_files_own_costs_nobody_anything(course):
    take_in(course, [delivery(ADA, 3, after=50, time_source="file"), delivery(BLAISE, 3, after=None, late=True)], "ppo")
    grade(course)
    assert (mark_of(course, ADA).late, mark_of(course, ADA).points) == (None, 6.0)
    assert mark_of(course, BLAISE).penalty == pytest.approx(0.6)  # the platform says late, and not how much: one day


def test_an_extension_moves_the_due_date_of_one(course):
    take_in(course, [delivery(ADA, 3, after=30), delivery(BLAISE, 3, after=30)], "ppo")
    grade(course)
    decide(course, decisions.extend, ADA, DUE + 40 * HOUR, "was ill", "jan")
    assert (mark_of(course, ADA).points, mark_of(course, ADA).due) == (6.0, DUE + 40 * HOUR)
    assert mark_of(course, BLAISE).points == pytest.approx(4.8)
    decide(course, decisions.extend, ADA, DUE, "was not ill", "jan")
    assert mark_of(course, ADA).points == pytest.approx(4.8)
    assert count(course, models.Extension) == 2


def test_adjustments_add_up_and_say_why(course):
    take_in(course, [delivery(ADA, 1, after=1)], "ppo")
    grade(course)
    decide(course, decisions.adjust, ADA, 1.5, "a check was too strict", "jan")
    decide(course, decisions.adjust, ADA, -0.5, "that was too much", "eva")
    mark = mark_of(course, ADA)
    assert (mark.score, mark.adjustment, mark.penalty, mark.points) == (2.0, 1.0, pytest.approx(0.6), pytest.approx(2.4))
    assert mark.comments == ("+1.5: a check was too strict", "-0.5: that was too much")
    decide(course, decisions.adjust, CARL, 2.0, "handed in on paper", "jan")
    assert (mark_of(course, CARL).state, mark_of(course, CARL).points) == ("missing", 2.0)
    decide(course, decisions.adjust, CARL, -5.0, "no, that was Blaise", "jan")
    assert mark_of(course, CARL).points == 0.0
    with pytest.raises(CourseError, match="a reason is needed"):
        decide(course, decisions.adjust, ADA, 1.0, " ", "jan")
    with pytest.raises(CourseError, match="an adjustment of 0 points changes nothing"):
        decide(course, decisions.adjust, ADA, 0.0, "why", "jan")


def test_totals_are_out_of_everything_that_is_due(course):
    take_in(course, [delivery(ADA, 3)], "ppo")
    grade(course)

    def total(name, when):
        [found] = [each for each in totals(marks_of(course), when) if each.person.name == name]
        return found.points, found.max_points

    trpo = course.max_points("trpo")
    assert total(ADA, DUE - HOUR) == (0, 0)
    assert total(ADA, DUE) == (6, 6) and total(BLAISE, DUE) == (0, 6)
    assert total(ADA, DUE + 170 * HOUR) == (6, 6 + 2 * trpo) and total(BLAISE, DUE + 170 * HOUR) == (0, 6 + 2 * trpo)
    decide(course, decisions.excuse, BLAISE, True, "was ill", "jan")
    assert total(BLAISE, DUE) == (0, 0) and mark_of(course, BLAISE).state == "excused"
    decide(course, decisions.excuse, BLAISE, False, "", "jan")
    assert total(BLAISE, DUE) == (0, 6)


def test_appeals_are_open_until_they_are_answered(course):
    assert decide(course, decisions.appeal, ADA, "the check is wrong", "ada") == 1
    with course.gradebook.reading() as session:
        assert [entry.reason for entry in decisions.open_appeals(session)] == ["the check is wrong"]
    decide(course, decisions.answer, ADA, "it is right", "jan")
    with course.gradebook.reading() as session:
        assert decisions.open_appeals(session) == []
    with pytest.raises(CourseError, match="Ada Lovelace has no open appeal on ppo"):
        decide(course, decisions.answer, ADA, "again", "jan")
    assert count(course, models.Appeal) == 2


def test_a_team_has_one_grading_and_each_member_a_mark(course):
    take_in(course, [delivery((ADA, BLAISE), 2, team="the two")], "ppo")
    outcome = grade(course)
    assert [result.student for result in outcome.results] == ["Ada Lovelace + Blaise Pascal"]
    decide(course, decisions.adjust, ADA, 1.0, "wrote the tests", "jan")
    assert [mark_of(course, name).points for name in (ADA, BLAISE)] == [5.0, 4.0]
    [alone] = take_in(course, [delivery(ADA, 3, after=-0.5)], "ppo")
    assert (alone.status, alone.attempt) == ("new", 1)  # the first without Blaise
    grade(course)
    assert (mark_of(course, ADA).attempts, mark_of(course, ADA).score, mark_of(course, BLAISE).score) == (2, 6.0, 4.0)


def test_whoever_is_nobody_yet_is_graded_and_keeps_it(course):
    stranger = Claim("moodle", "77", "A. Lovelace")
    [arrival] = take_in(course, [delivery(stranger, 3)], "ppo")
    assert arrival.strangers[0].claim == stranger
    assert [result.student for result in grade(course).results] == ["A. Lovelace"]
    from grader.course.people import decide as decided

    with course.gradebook.writing() as session:
        decided(session, "moodle", "77", person_called(session, ADA), None, "jan")
    assert mark_of(course, ADA).points == 6.0 and grade(course).results == []


def test_what_the_topic_tells_needs_no_assignment(course):
    taken = take_in(course, [delivery(ADA, 1, topic="trpo"), delivery(BLAISE, 1, topic=None)], None)
    assert [each.assignment for each in taken] == ["trpo", None] and taken[1].status == "unassigned"
    assert count(course, Submission) == 1
    with pytest.raises(CourseError, match="there is no assignment 'pop'; did you mean 'ppo'"):
        take_in(course, [delivery(ADA, 1)], "pop")


def test_of_a_history_the_versions_at_the_dates_that_matter_count(course, tmp_path):
    decide(course, decisions.extend, ADA, DUE + 40 * HOUR, "", "jan")
    asked = []

    def read(path, deadlines):
        asked.extend(deadlines)
        return [delivery(ADA, passing, after=at, time_source="commit") for at, passing in ((-2, 1), (29, 0), (30, 2), (50, 3))]

    found = collected(course, "ppo", [tmp_path], read)
    assert asked[0] == DUE + HOUR / 6 and asked[-1] == DUE + 40 * HOUR + 7 * 24 * HOUR + HOUR / 6
    assert [each.submitted_at for each in found] == [DUE - 2 * HOUR, DUE + 30 * HOUR, DUE + 50 * HOUR]
    take_in(course, found, "ppo")
    grade(course)
    assert (mark_of(course, ADA).attempt, mark_of(course, ADA).points) == (3, pytest.approx(5.4))


def test_of_a_history_each_assignment_looks_at_its_own_dates(course, tmp_path):
    later = 7 * 24  # when the other assignment is due

    def read(path, deadlines):
        commits = [(topic, at) for topic in ("ppo", "trpo") for at in (-2, later - 1)]
        return [delivery(ADA, 1, after=at, topic=topic, time_source="commit", origin=topic) for topic, at in commits]

    found = collected(course, None, [tmp_path], read)
    assert [(each.topic, each.submitted_at) for each in found if each.topic == "trpo"] == [("trpo", DUE + (later - 1) * HOUR)]
    assert len([each for each in found if each.topic == "ppo"]) == 2  # at the due date, and when nothing is accepted any more


def faulty(submissions, jobs, options, started):
    from msgspec.structs import replace

    from grader.records import Result

    for submission in submissions:
        started(submission)
        made = marked(submission, options)
        checks = [replace(each, verdict="grader_fault", score=0.0, mistake=None) for each in made.checks]
        yield Result.of(made.student, made.topic, checks, [], made.provenance)


def test_what_the_grader_failed_at_is_open_and_graded_again(course):
    take_in(course, [delivery(ADA, 3)], "ppo")
    assert grade(course, faulty).results[0].is_fault
    assert mark_of(course, ADA).state == "fault"
    assert len(grade(course, regrade="faults").results) == 1
    assert (mark_of(course, ADA).state, mark_of(course, ADA).points, count(course, Grading)) == ("graded", 6.0, 2)


def better(submissions, jobs, options, started):
    """Let one more check pass."""
    from msgspec.structs import replace

    for submission in submissions:
        started(submission)
        (name, content), *_ = submission.unread
        told = replace(submission, unread=((name, f"passes {int(content.split()[1]) + 1}".encode()),))
        yield marked(told, options)


def test_a_changed_check_is_told_and_graded_again_when_asked(course, monkeypatch):
    take_in(course, [delivery(ADA, 1), delivery(BLAISE, 2)], "ppo")
    grade(course)
    from grader.grading import provenance

    monkeypatch.setattr(provenance, "_topic", lambda name: "1" * 64)
    outcome = grade(course)
    assert (outcome.results, outcome.changed) == ([], 2)
    assert len(grade(course, better, regrade="changed").results) == 2
    assert [mark_of(course, name).points for name in (ADA, BLAISE)] == [4.0, 6.0]
    assert grade(course, regrade="changed").results == [] and count(course, Grading) == 4
    previous = mark_of(course, ADA, results=True).result.previous
    assert (previous.score, previous.max_score) == (2.0, 6.0)
    first, second = questions.changes(course, "1", "now")
    assert (first.person.name, first.before, first.after) == (ADA, 2.0, 4.0) and first.reasons == (
        "the same checks, in another version of the topic",
    )
    assert first.checks == (questions.Moved("lambda_advantage", "check_lambda_advantage_1", "wrong", "passed", 2.0),)
    assert (second.person.name, second.before, second.after) == (BLAISE, 4.0, 6.0)


def test_which_check_changed_is_told(course, monkeypatch):
    from grader.grading import provenance

    take_in(course, [delivery(ADA, 1)], "ppo")
    old, new = (
        "SIZE = 3\ndef check_a(): pass\ndef check_b(): return SIZE",
        "SIZE = 4  # larger\ndef check_a(): pass\ndef check_b(): return SIZE",
    )
    for version, text in enumerate((old, new)):
        (course.folder / "checks.py").write_text(text)
        monkeypatch.setattr(checkcode, "folder", lambda topic: course.folder)
        monkeypatch.setattr(provenance, "_topic", lambda name, version=version: f"{version:064}")
        grade(course, (engine, better)[version], regrade="changed")
    [change] = questions.changes(course, "1", "now")
    assert change.reasons == ("other checks: b",)
    with course.gradebook.writing() as session:
        session.execute(delete(models.CheckCode).where(models.CheckCode.topic_sha256 == "0" * 64))
    assert questions.changes(course, "1", "now")[0].reasons == ("other checks",)


def test_other_weights_and_penalties_run_nothing(course):
    take_in(course, [delivery(ADA, 3), delivery(BLAISE, 3, after=30), delivery(ADA, 1, topic="trpo")], None)
    grade(course)
    assert mark_of(course, BLAISE).points == pytest.approx(6 - 2 * 0.6)
    dearer = SETTINGS.replace("grace_minutes = 10", "grace_minutes = 10\npercent_per_day = 25").replace("weight = 2", "weight = 3")
    again = course_in(course.folder, settings=dearer)

    def never(*task):
        raise AssertionError("something was graded again")

    for regrade in (None, "changed", "faults"):
        outcome = grade(again, never, regrade=regrade)
        assert (outcome.results, outcome.changed) == ([], 0)
    assert count(again, Grading) == 3 and count(again, Job) == 0
    assert mark_of(again, BLAISE).points == pytest.approx(6 - 2 * 1.5)
    [ada] = [each for each in totals(marks_of(again), DUE + 1000 * HOUR) if each.person.name == ADA]
    assert (ada.points, ada.max_points) == (6 + 3 * 2, 6 + 3 * 6)


def test_another_seed_version_attempt_or_adjustment_is_the_reason(course, monkeypatch):
    take_in(course, [delivery(ADA, 1)], "ppo")
    grade(course)
    other = course_in(course.folder, settings=SETTINGS.replace("seed = 7", "seed = 8"))
    grade(other, better, regrade="changed")
    [change] = questions.changes(other, "1", "2")
    assert change.reasons == ("another seed",)
    take_in(other, [delivery(ADA, 3, after=-0.5)], "ppo")
    grade(other)
    decide(other, decisions.adjust, ADA, -1.0, "style", "jan")
    [change] = questions.changes(other, "2", "now")
    assert change.reasons == ("attempt 2 counts in place of 1", "adjusted by -1") and (change.before, change.after) == (4.0, 5.0)
    [change] = questions.changes(other, "0", "1")
    assert change.reasons == ("graded for the first time",)
    assert questions.changes(other, "now", "now") == []
    for told in ("9", "yesterday"):
        with pytest.raises(CourseError, match="there is no run 9; there are 1 to 3|'yesterday' names no state of the marks"):
            questions.changes(other, told, "now")


def test_only_what_is_asked_for_is_graded(course):
    take_in(course, [delivery(ADA, 1), delivery(BLAISE, 1), delivery(ADA, 1, topic="trpo")], None)
    assert [each.student for each in grade(course, person_called=lambda session: person_called(session, BLAISE)).results] == [BLAISE]
    assert [each.topic for each in grade(course, assignments=["trpo"]).results] == ["trpo"]
    assert len(grade(course, regrade="all").results) == 3
    with pytest.raises(CourseError, match="there is no assignment"):
        grade(course, assignments=["pop"])


def test_where_nothing_is_left_no_engine_is_started(course):
    def never(*task):
        raise AssertionError("the engine was called")

    assert grade(course, never).results == []
    take_in(course, [delivery(ADA, 1)], "ppo")
    grade(course)
    assert grade(course, never).results == []


def test_an_interrupted_run_is_gone_on_with(course):
    take_in(course, [delivery(ADA, 1), delivery(BLAISE, 2), delivery(CARL, 3)], "ppo")
    grade(course)

    def interrupted(submissions, jobs, options, started):
        yield from itertools.islice(engine(submissions, jobs, options, started), 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(course, interrupted, regrade="all")
    assert count(course, Grading) == 4
    with course.gradebook.reading() as session:
        assert [job.lease for job in session.scalars(select(Job))] == [None, None]  # given back
    assert len(grade(course).results) == 2 and count(course, Grading) == 6 and count(course, Job) == 0


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from courses import NoDisplay, marked
from grader.course.course import open_course
from grader.course.grading import grade_course

def killed(submissions, jobs, options, started):
    for index, submission in enumerate(submissions):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield marked(submission, options)

grade_course(open_course(Path(sys.argv[1])), killed, by="jan", jobs=1, display=NoDisplay)
"""


def test_a_killed_grader_loses_nothing_and_nothing_is_kept_twice(course):
    take_in(course, [delivery(name, 1) for name in (ADA, BLAISE, CARL, ANNA)], "ppo")
    for stored in (2, 4):
        here = Path(__file__).resolve().parent
        done = subprocess.run([sys.executable, "-c", KILLED, course.folder, here.parent, here], capture_output=True, text=True)
        assert count(course, Grading) == stored, done.stderr
    assert grade(course).results == [] and count(course, Job) == 0
    with course.gradebook.reading() as session:
        assert sorted(session.scalars(select(Grading.submission_id))) == [1, 2, 3, 4]


def test_two_graders_share_the_work(course):
    take_in(course, [delivery(name, 1) for name in (ADA, BLAISE, CARL, ANNA)], "ppo")
    other = open_course(course.folder)

    def with_another_beside(submissions, jobs, options, started):
        mine = iter(submissions)
        first = next(mine)
        outcome = grade(other)
        assert [result.student for result in outcome.results] == [BLAISE, CARL, ANNA] and outcome.elsewhere == 1
        yield marked(first, options)
        yield from engine(mine, jobs, options, started)

    assert [result.student for result in grade(course, with_another_beside).results] == [ADA]
    assert count(course, Grading) == 4 and count(course, Job) == 0


def test_a_grader_that_was_taken_for_dead_keeps_nothing_twice(course, monkeypatch):
    take_in(course, [delivery(ADA, 1)], "ppo")
    other = open_course(course.folder)

    def asleep(submissions, jobs, options, started):
        for submission in submissions:
            with course.gradebook.writing() as session:
                session.execute(update(Job).values(leased_until=models.now() - HOUR))
            assert [result.score for result in grade(other).results] == [2.0]
            yield marked(submission, options)

    outcome = grade(course, asleep)
    assert (outcome.discarded, outcome.results, count(course, Grading)) == (1, [], 1)


def test_a_grader_that_works_long_gives_signs_of_life(course, monkeypatch):
    monkeypatch.setattr(grading, "SIGN_OF_LIFE", 0.01)
    take_in(course, [delivery(ADA, 1)], "ppo")

    def slow(submissions, jobs, options, started):
        for submission in submissions:
            with course.gradebook.writing() as session:
                session.execute(update(Job).values(leased_until=models.now() - HOUR))
            for _ in range(500):
                with course.gradebook.reading() as session:
                    if session.scalars(select(Job.leased_until)).one() > models.now():
                        break
                time.sleep(0.01)
            else:
                raise AssertionError("no sign of life")
            yield marked(submission, options)

    assert len(grade(course, slow).results) == 1


def test_a_result_that_cannot_be_written_is_graded_again(course, monkeypatch):
    take_in(course, [delivery(ADA, 1), delivery(BLAISE, 1)], "ppo")

    connected = Gradebook._connected

    def full(self):
        connection = connected(self)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def full_after_one(submissions, jobs, options, started):
        for index, submission in enumerate(submissions):
            if index == 1:
                monkeypatch.setattr(Gradebook, "_connected", full)
            yield marked(submission, options)

    with pytest.raises(GradebookError, match="cannot be written"):
        grade(course, full_after_one)
    monkeypatch.undo()
    assert count(course, Grading) == 1
    with course.gradebook.writing() as session:
        session.execute(update(Job).values(leased_until=models.now() - HOUR))  # as after the end of the program, which cannot give it back
    assert [result.student for result in grade(course).results] == [BLAISE]


def test_questions_are_answered(course):
    take_in(course, [delivery(ADA, 1, after=-2), delivery(ADA, 2), delivery(BLAISE, 2), delivery(CARL, 3)], "ppo")
    grade(course)
    rows = questions.hardest(course)
    assert [(row.check[-1], row.passed) for row in rows] == [
        ("2", {"2026/27": questions.Passed(1, 3)}),
        ("0", {"2026/27": questions.Passed(3, 3)}),
        ("1", {"2026/27": questions.Passed(3, 3)}),
    ]
    [mistake] = questions.mistakes(course)
    assert (mistake.mistake, mistake.people) == ("treats truncation as termination", {"2026/27": 2})
    [gained] = questions.improved(course)
    assert (gained.person.name, gained.before, gained.after, gained.attempts) == (ADA, 2.0, 4.0, 2)
    assert [(row.person.name, row.seconds) for row in questions.slowest(course, 2)] == [
        (CARL, pytest.approx(0.3)),
        (ADA, pytest.approx(0.2)),
    ]
    assert [(row.assignment, row.person.name) for row in questions.missing(course, DUE)] == [("ppo", ANNA)]


def test_years_are_compared(course, tmp_path):
    older = course_in(tmp_path / "older", settings=SETTINGS.replace("2026/27", "2025/26"))
    for each, passing in ((course, 3), (older, 1)):
        take_in(each, [delivery(ADA, passing)], "ppo")
        grade(each)
    rows = questions.hardest(course, [older.gradebook])
    both, none = questions.Passed(1, 1), questions.Passed(0, 1)
    assert rows[0].passed == {"2025/26": both, "2026/27": both} and rows[2].passed == {"2025/26": none, "2026/27": both}
    assert questions.mistakes(course, [older.gradebook])[0].people == {"2025/26": 1}


def traces(folder, *words):
    """Return which words are anywhere in the files of a folder."""
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [word for word in words if word.encode() in content]


@pytest.mark.parametrize("keep", [False, True])
def test_a_person_is_forgotten(course, keep):
    take_in(course, [delivery(ANNA, 1, after=-2), delivery(ANNA, 2), delivery(BLAISE, 1), delivery((ANNA, CARL), 3, topic="trpo")], None)
    grade(course)
    decide(course, decisions.adjust, ANNA, 1.0, "secret reason", "jan")
    decide(course, decisions.answer, ANNA, "no", "jan") if decide(course, decisions.appeal, ANNA, "objection", "anna") else None
    with course.gradebook.reading() as session:
        pseudonym = person_called(session, ANNA).pseudonym
    words = (ANNA, "anna@x.cz", "1004", pseudonym, "secret reason", "objection")
    assert set(traces(course.folder, *words)) == set(words)
    before = questions.hardest(course)
    decisions.forget(course, lambda session: person_called(session, ANNA), keep)
    assert traces(course.folder, *words) == []
    again = open_course(course.folder)
    assert {mark.person.name for mark in marks_of(again)} == {ADA, BLAISE, CARL}
    assert mark_of(again, BLAISE).points == 2.0 and mark_of(again, CARL, "trpo").points == 6.0  # the team's stays with the other
    assert (questions.hardest(again) == before) == keep
    assert grade(again).results == []
    [back] = take_in(again, [delivery(ANNA, 2)], "ppo")
    assert back.strangers and not back.people


def test_an_anonymous_mark_tells_nobody(course):
    take_in(course, [delivery(ADA, 3)], "ppo")
    grade(course)
    decide(course, decisions.adjust, ADA, 1.0, "Ada is nice", "jan")
    marks = marks_of(course, ["ppo"], results=True, anonymous=True)
    text = repr(marks)
    assert not any(word in text for word in ("Ada", "ada@x.cz", "1001", "ada-l"))
    [mark] = [each for each in marks if each.points == 7.0]
    assert mark.person.name == mark.person.pseudonym == mark.result.student
    assert [each.person.pseudonym for each in marks] == sorted(each.person.pseudonym for each in marks)


def test_another_topic_under_the_name_of_an_assignment_is_refused(course):
    with pytest.raises(CourseError, match="the assignment ppo was taken in as one of ppo: give one of retrace another name"):
        course_in(course.folder, settings=SETTINGS.replace("[assignments.ppo]", '[assignments.ppo]\ntopic = "retrace"'))


def test_the_secret_seed_is_drawn_once_for_a_course(tmp_path):
    course = course_in(tmp_path / "course", settings=SETTINGS.replace("seed = 7\n", ""))
    assert course.options("ppo").seed == open_course(course.folder).options("trpo").seed
    take_in(course, [delivery(ADA, 1)], "ppo")
    grade(course)
    (course.folder / "seed.txt").unlink()
    with pytest.raises(CourseError, match="seed.txt is not the seed that this course was graded with: restore it, or grade all again"):
        grade(course)
    assert len(grade(course, regrade="all").results) == 1 and grade(course).results == []
    (course.folder / "seed.txt").write_text("lost")
    with pytest.raises(CourseError, match="cannot read the seed in .*seed.txt"):
        course.options("ppo")
