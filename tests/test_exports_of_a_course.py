"""The marks of a course, written as other systems read them."""

import csv
import io
import json

import pytest
from courses import NoDisplay, course_in, delivery, engine

from grader.course.arrivals import take_in
from grader.course.grading import grade_course
from grader.intake.deliveries import Claim

WORKSHEET = (
    "Identifier,Full name,Email address,Grade,Maximum Grade,Last modified (grade)\n"
    "Participant 11,Ada Lovelace,,,6.00,-\nParticipant 12,Blaise Pascal,blaise@x.cz,,6.00,-\nParticipant 13,Somebody,,1,6.00,-\n"
)


@pytest.fixture
def exported(tmp_path, command):
    """Make a course in which two of four handed in; return what runs the command on it."""
    course = course_in(tmp_path / "course")
    ada = Claim("moodle", "11", "Ada Lovelace")
    handed_in = [delivery(ada, 3, origin="Ada Lovelace_11_assignsubmission_file_"), delivery("Blaise Pascal", 1, after=30)]
    take_in(course, handed_in, "ppo")
    grade_course(course, engine, by="jan", jobs=1, display=NoDisplay)

    return lambda *arguments: command("export", course.folder, *arguments)


def test_a_worksheet_of_moodle(exported, tmp_path):
    (tmp_path / "in.csv").write_text(WORKSHEET)
    into = ("--into", tmp_path / "in.csv", "--assignment", "ppo", "--feedback", tmp_path / "feedback.zip")
    status, printed, _ = exported("--format", "moodle", "--out", tmp_path / "out.csv", *into)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [row["Grade"] for row in rows] == ["6", rows[1]["Grade"], "1"] and 0 < float(rows[1]["Grade"]) < 2.0, "being late cost something"
    assert status == 3 and "Anna Li is not in it, or cannot be told from others there" in printed


def test_json_lines_with_and_without_names(exported, tmp_path):
    assert exported("--format", "jsonl", "--out", tmp_path / "out.jsonl")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == 8 and {line["state"] for line in lines} == {"graded", "missing"}
    assert sum(len(line["parts"]) for line in lines) == 6
    exported("--format", "jsonl", "--out", tmp_path / "out.jsonl", "--anonymous")
    assert "Lovelace" not in (tmp_path / "out.jsonl").read_text() and "ada@" not in (tmp_path / "out.jsonl").read_text()


def test_an_assignment_that_there_is_not(exported, tmp_path):
    status, _, complaint = exported("--format", "jsonl", "--out", tmp_path / "out.jsonl", "--assignment", "bandit")
    assert status == 2 and "bandit" in complaint


def test_below_a_course_it_is_that_course(exported, tmp_path, command, monkeypatch):
    (tmp_path / "course" / "notes").mkdir()
    monkeypatch.chdir(tmp_path / "course" / "notes")
    assert command("export", "--format", "jsonl", "--out", "out.jsonl")[0] == 0
    assert len((tmp_path / "course" / "notes" / "out.jsonl").read_text().splitlines()) == 8


def test_a_worksheet_in_another_language_says_what_came_and_what_to_do(exported, tmp_path):
    (tmp_path / "in.csv").write_text("Identifikátor,Celé jméno,Známka\nÚčastník 11,Ada Lovelace,\n")
    status, _, complaint = exported(
        "--format", "moodle", "--out", tmp_path / "out.csv", "--into", tmp_path / "in.csv", "--assignment", "ppo"
    )
    told = " ".join(complaint.split())
    assert status == 2 and "has no column Identifier and none Grade, but Identifikátor, Celé jméno, Známka: if these are" in told
