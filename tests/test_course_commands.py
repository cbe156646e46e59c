"""The commands of a course, as a teaching assistant meets them: what they print is worth reading, and every status is right."""

import datetime
import io
import json
import re
import shutil
import subprocess
import sys

import pytest
from courses import HERE, ROSTER, SETTINGS, course_in, delivery, npfl139_in
from msgspec.structs import replace
from rich.console import Console
from sqlalchemy import select
from test_similarity import ONE, OTHER, of_ppo, padded

from grader.course import questions
from grader.course.arrivals import take_in
from grader.course.models import Person
from grader.course.screens import Screen
from grader.intake.contents import Content


@pytest.fixture
def course(tmp_path):
    return course_in(tmp_path / "course")


@pytest.fixture
def run(course, monkeypatch):
    """Run a command in the course; it must end with the status, by default 0. Returns what it printed."""

    def run(*arguments, status=0):
        ended, printed = npfl139_in(course.folder, monkeypatch, *arguments)
        assert ended == status, printed
        return printed

    return run


@pytest.fixture
def graded(course, run):
    """Ada improved, Blaise was late, Carl and Anna handed in nothing."""
    take_in(course, [delivery("Ada Lovelace", 1, after=-3), delivery("Ada Lovelace", 3), delivery("Blaise Pascal", 2, after=2)], "ppo")
    return run("grade")


@pytest.fixture
def read(course, monkeypatch):
    """Run a command in the course with --json; it must end with the status. Returns what a program reads, and what a human is told."""

    def read(*arguments, status=0):
        told = io.StringIO()
        ended, printed = npfl139_in(course.folder, monkeypatch, *arguments, "--json", complaints=told)
        assert ended == status and printed.isascii() and "\x1b" not in printed, printed + told.getvalue()
        return json.loads(printed or "null"), told.getvalue()

    return read


def packed(folder, *people):
    """Write what Moodle packs: the name, the number, and how many checks pass."""
    for name, number, passing in people:
        path = folder / f"{name}_{number}_assignsubmission_file_"
        path.mkdir(parents=True)
        (path / "ppo.py").write_text(f"passes {passing}")
    return folder


def test_a_course_begins_with_a_roster_and_its_template_is_one(tmp_path, monkeypatch):
    (tmp_path / "people.csv").write_text(ROSTER)
    status, told = npfl139_in(tmp_path, monkeypatch, "course", "init", "mine", "--roster", "people.csv", "--title", 'A "B"', "--term", "C")
    assert status == 0, told
    assert told.startswith("mine/course.toml: 8 assignments, one a week from") and "4 people in mine/roster.csv." in told
    status, told = npfl139_in(tmp_path / "mine", monkeypatch, "course", "show")
    assert status == 0 and told.startswith('A "B", C\n') and "transformed_rewards" in told
    status, told = npfl139_in(tmp_path, monkeypatch, "course", "init", "mine")
    assert status == 2 and "mine/course.toml exists already: edit it, or name another folder" in told
    status, told = npfl139_in(tmp_path, monkeypatch, "course", "init", "people.csv/x")
    assert status == 2 and "cannot write people.csv/x/course.toml" in told
    status, told = npfl139_in(tmp_path, monkeypatch, "course", "init", "other", "--roster", "nobody.csv")
    assert status == 2 and not (tmp_path / "other").exists()


def test_what_needs_a_course_says_so(tmp_path, monkeypatch):
    for command in (["course", "show"], ["show", "ada"], ["intake", "."]):
        status, told = npfl139_in(tmp_path, monkeypatch, *command)
        assert (status, told) == (2, "npfl139: there is no course.toml in this folder or above it: npfl139 course init writes one\n")
    status, told = npfl139_in(tmp_path, monkeypatch, "grade")
    assert status == 2 and told.startswith("npfl139: name what to grade, such as npfl139 grade submissions/")


def test_from_moodles_folder_to_marks(course, run, tmp_path):
    export = packed(tmp_path / "export", ("Ada Lovelace", 11, 3), ("Blaise Pascale", 12, 1), ("Emmy Noether", 13, 2))
    told = run("intake", export, "--assignment", "ppo", "--dry-run", status=3)
    assert "3 would be taken in, 0 are in the gradebook already." in told
    told = run("intake", export, "--assignment", "ppo", status=3)
    assert "Ada Lovelace        1  time unknown  on time  ppo.py" in told
    assert "3 taken in, 0 are in the gradebook already.\nGrade them: npfl139 grade\n" in told
    assert "nobody in the course is called so; perhaps Blaise Pascal, blaise@x.cz" in " ".join(told.split())
    assert "  npfl139 course alias moodle 12 blaise@x.cz --assignment ppo\n" in told
    assert "  npfl139 course alias moodle 13 STUDENT --assignment ppo\n" in told
    told = run("course", "alias", "moodle", "12", "blaise@x.cz", "--assignment", "ppo")
    assert told == "moodle 12 is Blaise Pascal. 1 submission of 12 is now Blaise Pascal's.\n"
    told = run("grade")
    assert "Ada Lovelace ppo: 6 / 6" in told and "Run 1: 3 graded.\nAll at a glance: npfl139 course show. Pages: npfl139 report.\n" in told
    assert "0 taken in, 3 are in the gradebook already." in run("intake", export, "--assignment", "ppo", status=3)
    told = run("course", "show")
    assert (
        "1 who handed in is nobody in the course yet; say who:\n  npfl139 course alias moodle 13 STUDENT --assignment ppo   # Emmy Noether"
        in told
    )
    assert "emmy" not in run("course", "show", "--anonymous").lower()


def test_what_cannot_be_taken_in_is_told(course, run, tmp_path):
    export = packed(tmp_path / "export", ("Ada Lovelace", 11, 3))
    assert "there is no assignment 'pop'; did you mean 'ppo'?" in run("intake", export, "--assignment", "pop", status=2)
    assert "there is no adapter 'modle'" in run("intake", export, "--from", "modle", status=2)
    assert "cannot be read: No such file or directory" in run("intake", tmp_path / "nothing", status=2)
    (export / "Známky.csv").write_text("Identifikátor,Celé jméno\nÚčastník 11,Ada Lovelace\n")
    assert "Známky.csv is in another language: names are taken from it" in " ".join(
        run("intake", export, "--assignment", "ppo", "--dry-run").split()
    )
    (export / "Ada Lovelace_11_assignsubmission_file_" / "ppo.py").rename(export / "Ada Lovelace_11_assignsubmission_file_" / "mine.py")
    told = run("intake", export, status=3)
    assert "1 not taken in, since nothing tells for which assignment: Ada Lovelace_11_assignsubmission_file_. Say it:\n" in told
    assert "  npfl139 intake PATH --assignment ppo|trpo\n" in told
    assert "there is no platform 'modle'; did you mean 'moodle'?" in run("course", "alias", "modle", "1", "ada", status=2)


def test_a_large_class_is_told_in_a_few_lines(course, run, tmp_path):
    people = [(f"Student {number}", number, 1) for number in range(60)]
    roster = "name\n" + "".join(f"{name}\n" for name, *_ in people)
    (course.folder / "roster.csv").write_text(roster)
    export = packed(tmp_path / "export", *people)
    assert len(run("intake", export, "--assignment", "ppo").splitlines()) < 10
    assert len(run("intake", export, "--assignment", "ppo").splitlines()) < 5
    assert run("intake", export, "--assignment", "ppo", "--dry-run", "--all").count("Student") == 0


def test_a_mark_says_how_it_came_about(graded, run):
    told = run("show", "ada")
    assert told.startswith("Ada Lovelace · ada@x.cz · 1001 · A · pseudonym S-")
    assert "ppo  6 / 6\n  due 2024-11-02 18:00\n" in told
    assert "         1  2024-11-02 15:00  on time      2    lambda_advantage: treats truncation as termination" in told
    assert "→        2  2024-11-02 17:00  on time      6    nothing" in told
    told = run("show", "blaise")
    assert "2 h late" in told and "4 − 0.6 for being 2 h late = 3.4" in told
    told = run("show", "anna")
    assert "ppo  0 / 6  missing" in told and "total of what is due: 0 / " in told


def test_humans_decide(graded, run):
    told = run("adjust", "blaise", "ppo", "-1.5", "--reason", "copied a helper", "--by", "eva")
    assert "-1.5 by eva, " in told and ": copied a helper\n" in told and "4 − 1.5 adjusted − 0.6 for being 2 h late = 1.9" in told
    assert "5 + 1 adjusted" not in run("adjust", "blaise", "ppo", "+2", "--reason", "no, it was his")
    told = run("extend", "blaise", "ppo", "2024-11-03", "--reason", "was ill")
    assert "due 2024-11-03, extended from 2024-11-02 18:00" in told and "4 + 0.5 adjusted = 4.5" in told
    assert "ppo  0 / 6  excused" in run("excuse", "anna", "ppo", "--reason", "was ill")
    assert "ppo  0 / 6  missing" in run("excuse", "anna", "ppo", "--revoke")
    assert ": the check is wrong\n" in run("appeal", "ada", "ppo", "--reason", "the check is wrong")
    assert "Ada Lovelace appeals ppo since" in run("course", "show")
    told = run("course", "show", "--anonymous")
    assert "appeals ppo since" in told and "Ada" not in told and "the check is wrong" not in told
    assert "answered by" in run("appeal", "ada", "ppo", "--answer", "it is right")
    assert "appeals" not in run("course", "show")


def test_what_nobody_can_decide_is_told(graded, run):
    for arguments, sentence in (
        (("adjust", "zeno", "ppo", "1", "--reason", "x"), "nobody in the course is called 'zeno'"),
        (("adjust", "ada", "pop", "1", "--reason", "x"), "there is no assignment 'pop'; did you mean 'ppo'?"),
        (("adjust", "ada", "ppo", "0", "--reason", "x"), "an adjustment of 0 points changes nothing"),
        (("adjust", "ada", "ppo", "inf", "--reason", "x"), "an adjustment has at most 10000 points, got +inf: say how many are given"),
        (("adjust", "ada", "ppo", "nan", "--reason", "x"), "an adjustment has at most 10000 points, got +nan"),
        (("adjust", "ada", "ppo", "-1e308", "--reason", "x"), "an adjustment has at most 10000 points, got -1e+308"),
        (("adjust", "ada", "ppo", "1"), "Missing option '--reason'"),
        (
            ("extend", "ada", "ppo", "soon"),
            'due must be a date, with or without a time, such as 2026-11-02 or 2026-11-02T18:00:00, got "soon"',
        ),
        (("appeal", "ada", "ppo"), "say either --reason, what the student objects to, or --answer"),
        (("appeal", "ada", "ppo", "--answer", "x"), "Ada Lovelace has no open appeal on ppo"),
        (("ask", "easiest"), "'easiest' is no question that is answered; ask hardest, mistakes, improved, slowest, missing"),
        (("ask", "hardest", "--attach", "old.db"), "there is no gradebook old.db to compare with"),
        (("diff", "9"), "there is no run 9; there are 1 to 1, and 0 is before the first"),
        (("grade", "--regrade", "everything"), "--regrade is changed, all or faults, not 'everything'"),
        (("grade", "--no-training"), "in a course, course.toml says how it is graded"),
        (("grade", "x.py", "--student", "ada"), "are for what a course took in"),
    ):
        told = run(*arguments, status=2)
        assert sentence in told and told.count("\n") == 1, told


def test_questions_are_answered(graded, run, course):
    assert "|".join(questions.QUESTIONS) in run("ask", "--help")
    told = run("ask", "hardest")
    assert "ppo    lambda_advantage  lambda_advantage_2" in told and "1 of 2" in told
    assert "treats truncation as termination" in run("ask", "mistakes")
    assert "Ada Lovelace  ppo                2      2       6" in run("ask", "improved")
    assert "… and 2 more: --count 3" in run("ask", "slowest", "--count", "1") or "Ada" in run("ask", "slowest")
    told = run("ask", "missing")
    assert "ppo         Anna Li" in told and "ppo         Carl Gauß" in told and "ppo         Ada" not in told and "trpo        Ada" in told
    shutil.copy(course.folder / "gradebook.db", course.folder / "old.db")
    assert "passed, 2026/27" in run("ask", "hardest", "--attach", "old.db")


def test_what_changed_is_told(graded, run, course):
    take_in(course, [delivery("Blaise Pascal", 3)], "ppo")
    assert "What changed: npfl139 diff 1. " in run("grade")
    told = run("diff", "1")
    assert "Blaise Pascal ppo  3.4 → 6 (+2.6)  attempt 1 counts in place of" in told
    assert "lambda_advantage, lambda_advantage_2: wrong → passed (+2)\n" in told
    assert "1 gained, 0 lost, 0 kept their points by other checks.\n" in told
    assert run("diff", "2") == "Nobody gained or lost anything.\n"
    run("adjust", "ada", "ppo", "-1", "--reason", "x")
    assert "Ada Lovelace ppo  6 → 5 (-1)  adjusted by -1" in run("diff", "2")


def test_every_grading_is_told_with_what_changed(graded, run, read, monkeypatch):
    from grader.grading import provenance

    monkeypatch.setattr(provenance, "_topic", lambda name: "1" * 64)
    run("grade", "--regrade", "changed")
    told = run("show", "blaise")
    assert "  attempt 1 graded again in run 2, " in told and ": 4, as before; the same checks, in another version of the topic\n" in told
    first, second = read("show", "blaise")[0]["assignments"][0]["attempts"][0]["gradings"]
    assert (first["run"], first["score"], first["reasons"]) == (1, 4.0, [])
    assert (second["run"], second["reasons"]) == (2, ["the same checks, in another version of the topic"])
    run("grade", "--regrade", "all")
    assert ": 4, as before; graded again\n" in run("show", "blaise")


def test_names_of_topics_stay_whole_in_a_narrow_terminal():
    shown = io.StringIO()
    screen = Screen(datetime.UTC, Console(file=shown, width=60))
    who, email = "Maria Gaetana Agnesi-Wolkenstein", f"{'maria' * 8}@x.cz"
    screen.table(["assignment", "who", "e-mail", "points"], [["transformed_rewards", who, email, "38"]], right=(3,))
    lines = shown.getvalue().splitlines()
    assert lines[1].startswith("transformed_rewards  Maria") and all(len(line) <= 60 for line in lines)
    assert "".join(line[line.index("maria") :].split()[0] for line in lines if "maria" in line) in email


def test_who_is_asked_for_anonymously_is_not_named(graded, run, course):
    run("adjust", "ada", "ppo", "1", "--reason", "Ada was ill")
    for arguments in (["show", "ada"], ["ask", "improved"], ["ask", "missing"], ["diff", "0"], ["course", "show", "--people"]):
        told = run(*arguments, "--anonymous")
        assert "S-" in told and not any(word in told for word in ("Ada", "Blaise", "Anna", "x.cz", "1001")), told
    take_in(course, [delivery("Ada Lovelace", 2, after=-0.5)], "ppo")
    told = run("grade", "--anonymous")
    assert " ppo: 4 / 6" in told and "S-" in told and "Ada" not in told
    with course.gradebook.reading() as session:
        pseudonym = session.scalars(select(Person.pseudonym).where(Person.name == "Ada Lovelace")).one()
    assert run("show", pseudonym).startswith("Ada Lovelace")


def test_a_program_reads_what_the_tables_say(graded, run, read, course):
    run("adjust", "blaise", "ppo", "-1", "--reason", "copied \x1b[2Ja helper", "--by", "eva")
    found, told = read("course", "show")
    assert told == "" and found["title"] == "Deep reinforcement learning" and found["runs"][0]["what"] == "what was new"
    ppo, trpo = found["assignments"]
    assert "ppo 2024-11-02 18:00 2 / 4 1 0 4.2 / 6" in " ".join(run("course", "show").split())
    assert (ppo["handed_in"], ppo["people"], ppo["late"], ppo["waiting"], ppo["max_points"]) == (2, 4, 1, 0, 6.0)
    assert ppo["mean"] == pytest.approx(4.2) and ppo["due"] == "2024-11-02T18:00:00Z" and trpo["mean"] is None
    [ada, *others] = read("course", "show", "--people")[0]
    assert (ada["person"]["name"], ada["person"]["email"], ada["points"]) == ("Ada Lovelace", "ada@x.cz", 6.0) and len(others) == 3

    found, _ = read("show", "blaise")
    [standing, missing] = found["assignments"]
    assert found["person"]["sid"] == "1002" and missing["mark"]["state"] == "missing" and missing["attempts"] == []
    mark, [attempt], [decision] = standing["mark"], standing["attempts"], standing["decisions"]
    assert "4 − 1 adjusted − 0.6 for being 2 h late = 2.4" in run("show", "blaise")
    assert [mark[name] for name in ("score", "adjustment", "penalty", "points", "late")] == pytest.approx([4, -1, 0.6, 2.4, 7200])
    assert (attempt["score"], attempt["counts"], len(attempt["checks"])) == (4.0, True, 3)
    assert attempt["checks"][2] == {
        "exercise": "lambda_advantage",
        "check": "check_lambda_advantage_2",
        "verdict": "wrong",
        "score": 0.0,
        "max_score": 2.0,
        "mistake": "treats truncation as termination",
    }
    assert (decision["what"], decision["by"], decision["points"]) == ("adjusted", "eva", -1.0) and "a helper" in decision["reason"]

    check = read("ask", "hardest")[0][0]
    assert (check["check"], check["passed"]) == ("check_lambda_advantage_2", {"2026/27": {"passed": 1, "people": 2}})
    assert read("ask", "mistakes")[0][0]["people"] == {"2026/27": 1}
    [improved] = read("ask", "improved")[0]
    assert (improved["person"]["name"], improved["before"], improved["after"], improved["attempts"]) == ("Ada Lovelace", 2.0, 6.0, 2)
    assert [row["seconds"] for row in read("ask", "slowest")[0]] == pytest.approx([0.3, 0.2, 0.1])
    names = [(row["assignment"], row["person"]["name"]) for row in read("ask", "missing")[0]]
    assert names[:2] == [("ppo", "Anna Li"), ("ppo", "Carl Gauß")] and len(names) == 6

    take_in(course, [delivery("Blaise Pascal", 3)], "ppo")
    run("grade")
    [change] = read("diff", "1")[0]
    assert "Blaise Pascal ppo  3.4 → 5 (+1.6)  attempt 1 counts in place of 2; adjusted by -1" in run("diff", "1")
    assert (change["before"], change["after"], change["reasons"][1]) == (pytest.approx(3.4), 5.0, "adjusted by -1")
    assert change["checks"] == [
        {"exercise": "lambda_advantage", "check": "check_lambda_advantage_2", "before": "wrong", "after": "passed", "gained": 2.0}
    ]
    assert read("diff", "2")[0] == []


def test_a_program_reads_what_was_taken_in(course, run, read, tmp_path):
    people = [("Ada Lovelace", 11, 3), ("Emmy Noether", 13, 2)]
    export = packed(tmp_path / "export", *people)
    for arguments, statuses in ((["--dry-run"], {"new"}), ([], {"new"}), ([], {"known"})):
        found, told = read("intake", export, "--assignment", "ppo", *arguments, status=3)
        assert told == "" and {each["status"] for each in found} == statuses
        known, stranger = sorted(found, key=lambda each: len(each["strangers"]))
        assert (known["people"][0]["name"], known["filename"], known["attempt"]) == ("Ada Lovelace", "ppo.py", 1)
        assert stranger["people"] == [] and stranger["strangers"][0]["claim"]["name"] == "Emmy Noether"
    found, _ = read("course", "show")
    assert found["unknown"] == [{"system": "moodle", "key": "13", "name": "Emmy Noether", "assignment": "ppo"}]
    (export / "Známky.csv").write_text("Identifikátor,Celé jméno\nÚčastník 11,Ada Lovelace\n")
    told = read("intake", export, "--assignment", "ppo", status=3)[1]
    assert "Známky.csv is in another language: names are taken from it" in " ".join(told.split())
    export = packed(tmp_path / "more", ("Emmy Noether", 13, 3))
    (export / "Emmy Noether_13_assignsubmission_file_" / "ppo.py").rename(export / "emmy.py")
    [found] = read("intake", export, status=3)[0]
    assert (found["status"], found["assignment"]) == ("unassigned", None)


def test_a_program_that_asks_anonymously_reads_no_name(graded, run, read, tmp_path):
    run("adjust", "ada", "ppo", "1", "--reason", "Ada was ill")
    run("appeal", "ada", "ppo", "--reason", "Ada objects")
    export = packed(tmp_path / "export", ("Carl Gauß", 11, 3), ("Emmy Noether", 13, 2))
    for arguments, status in (
        (["show", "ada"], 0),
        (["ask", "improved"], 0),
        (["ask", "slowest"], 0),
        (["ask", "missing"], 0),
        (["diff", "0"], 0),
        (["course", "show"], 0),
        (["course", "show", "--people"], 0),
        (["intake", export, "--assignment", "ppo"], 3),
        (["course", "show"], 0),
    ):
        found, told = read(*arguments, "--anonymous", status=status)
        text = json.dumps(found) + told
        assert "S-" in text and not re.search("Ada|Blaise|Anna|Carl|Emmy|x.cz|1001", text), text


def test_a_program_that_asks_wrongly_reads_nothing(graded, read, course):
    for arguments, sentence in (
        (["show", "zeno"], "nobody in the course is called 'zeno'"),
        (["ask", "easiest"], "'easiest' is no question that is answered"),
        (["diff", "9"], "there is no run 9"),
        (["intake", course.folder / "nothing"], "cannot be read: No such file or directory"),
        (["intake", course.folder, "--all"], "--all is for the table: --json lists everything"),
        (["ask", "missing", "--count", "3"], "--count is for the table: --json lists everything"),
        (
            ["ask", "missing", "--attach", "x"],
            "--attach is for ask hardest and ask mistakes: nothing else is compared with older gradebooks",
        ),
        (["similarity", "--topic", "ppo"], "in a course, assignments are compared"),
    ):
        found, told = read(*arguments, status=2)
        assert found is None and sentence in told and told.count("\n") == 1, told
    (course.folder / "course.toml").unlink()
    assert "there is no course.toml" in read("course", "show", status=2)[1]


def test_a_student_is_forgotten_after_a_question(graded, run, course, monkeypatch):
    for answer in ("n\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        run("forget", "ada", status=1)
    assert run("show", "ada")
    (course.folder / "gradebook.db.before-0002").touch()
    told = " ".join(run("forget", "ada", "--yes").split())
    assert told.startswith("Ada Lovelace, ada@x.cz is forgotten. Copies of the gradebook (gradebook.db.before-0002), reports, and")
    assert "nobody in the course is called 'ada'" in run("show", "ada", status=2)
    assert "ada" not in (course.folder / "roster.csv").read_text().lower()
    assert "verdicts and scores are kept, of nobody" in run("forget", "blaise", "--keep-statistics", "--yes")
    assert "1 of 1" in run("ask", "hardest") or "0 of 1" in run("ask", "hardest")


def test_the_commands_answer_without_torch_or_a_database(tmp_path):
    code = "import sys, grader.course.commands; print(*sorted({'torch', 'sqlalchemy', 'alembic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
    course_in(tmp_path / "course")
    code = "import sys; sys.argv = ['npfl139', 'course', 'show']; from npfl139.cli import main; main(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path / "course", env=HERE)
    assert done.stdout.endswith("False\n"), done.stdout + done.stderr


def test_a_gradebook_that_is_damaged_is_told(course, run):
    (course.folder / "gradebook.db").write_bytes(b"no database" * 100)
    assert "gradebook.db cannot be opened: it is damaged or not a gradebook, restore it from a copy\n" in run("show", "ada", status=2)


def test_settings_that_are_wrong_are_told(course, run):
    (course.folder / "course.toml").write_text(SETTINGS.replace("weight", "wieght"))
    assert "there is no setting 'wieght' of assignments.trpo (did you mean weight?)" in run("course", "show", status=2)


def test_reports_are_made_from_the_gradebook(graded, run, course):
    (course.folder / "roster.csv").write_text(ROSTER + "Ada Lovelace,ada2@x.cz,2001,B,\n")
    assert run("report").endswith(f"written: {course.folder / 'reports' / 'report.html'}\n")
    reports = course.folder / "reports"
    assert sorted(path.name for path in reports.glob("*/*")) == ["ppo.json", "ppo.json", "report.html", "report.html"]
    assert sorted(path.name for path in reports.iterdir() if path.is_dir()) == ["Ada Lovelace 1001", "Blaise Pascal"]
    html = (reports / "report.html").read_text()
    assert "Deep reinforcement learning, 2026/27" in html
    assert 'title="4 graded − 0.6 for being 2 h late">3.4 *</td>' in html
    nothing = html[html.index('id="of-Carl%20Gau%C3%9F"') :].partition("</tr>")[0]
    assert 'href="report.html#of-Carl%20Gau%C3%9F"' in nothing and "<td>0</td>" in nothing and nothing.count("nothing handed in") == 2
    assert "A total is out of everything that is due, handed in or not (–). These are marks" in html
    run("adjust", "carl", "ppo", "+1.5", "--reason", "spoke well")
    run("excuse", "anna", "ppo")
    take_in(course, [delivery("Anna Li", 1, topic="trpo"), delivery("Blaise Pascal", 1, after=1, topic="trpo")], "trpo")
    run("adjust", "blaise", "trpo", "+1", "--reason", "spoke well")
    take_in(course, [delivery("Blaise Pascal", 1, after=3)], "ppo")
    run("report")
    html = (reports / "report.html").read_text()
    assert 'title="+ 1.5 adjusted">1.5 *</td>' in html and 'title="excused">0 *</td>' in html
    assert 'title="not graded yet">…</td>' in html and 'title="+ 1 adjusted and not all graded yet">1 *</td>' in html
    assert 'title="4 graded − 0.6 for being 2 h late and not all graded yet">3.4 *</td>' in html
    run("forget", "blaise", "--yes")
    run("report")
    assert [path.name for path in reports.iterdir() if path.is_dir()] == ["Ada Lovelace 1001"]
    run("report", "--anonymous")
    assert "Ada" not in (course.folder / "reports-anonymous" / "report.html").read_text()


def with_programs(folder, programs):
    """Return a course in which people handed in programs for ppo."""
    people = "".join(f"Student {place},s{place}@x.cz,{place}\n" for place in range(len(programs)))
    course = course_in(folder, roster=f"name,email,sid\n{people}")
    files = [Content(program if isinstance(program, bytes) else program.encode()) for program in programs]
    take_in(course, [replace(delivery(f"Student {place}", 0), files=(("ppo.py", file),)) for place, file in enumerate(files)], "ppo")
    return course


def test_what_counts_is_compared_with_each_other_and_with_an_older_gradebook(tmp_path, monkeypatch):
    one, other, *rest = (entry.source for entry in of_ppo(padded(ONE, OTHER)))
    with_programs(tmp_path / "course", [one, b"\xff\xfe no text", *rest, other])
    with_programs(tmp_path / "older", [other])

    def run(*arguments):
        status, printed = npfl139_in(tmp_path / "course", monkeypatch, "similarity", *arguments)
        return status, " ".join(printed.split())

    last = f"Student {len(rest) + 2}"
    status, told = run("--assignment", "ppo", "--out", "page.html")
    assert status == 0 and f"Student 0 {last} ppo" in told
    assert f"<bdi>{last}</bdi>" in (tmp_path / "course" / "page.html").read_text()
    assert f"{last} Student 0, 2026/27 ppo" in run("--attach", "../older/gradebook.db")[1]
    told = run("--anonymous", "--attach", "../older/gradebook.db")[1]
    assert "Student" not in told and re.search(r"S-\w+-\w+ submission 1, 2026/27", told)
    complaints = io.StringIO()
    for anonymous in ([], ["--anonymous"]):
        arguments = ["similarity", "--json", "--out", "page.html", *anonymous]
        status, told = npfl139_in(tmp_path / "course", monkeypatch, *arguments, complaints=complaints)
        [pair] = json.loads(told)
        assert status == 0 and pair["topic"] == "ppo" and pair["by_chance"] < 1 and pair["evidence"][0]["share"] > 0.5
        assert ("Student" in told) != bool(anonymous) and "source" not in told
    assert "Likeness is no proof" in complaints.getvalue() and "written: page.html" in complaints.getvalue()
    assert run("--topic", "ppo") == (2, "npfl139: in a course, assignments are compared: say --assignment in place of --topic")
    assert "leave the paths out" in run(".", "--assignment", "ppo")[1]
    assert "there is no assignment 'x'" in run("--assignment", "x")[1]
    assert "there is no gradebook none.db" in run("--attach", "none.db")[1]


def test_marks_go_out_from_the_gradebook(graded, run, course):
    run("adjust", "blaise", "ppo", "+1", "--reason", "=1+1")
    for arguments in ([], [course.folder]):
        run("export", *arguments, "--format", "nbgrader", "--out", "grades.csv", "--assignment", "ppo")
        text = (course.folder / "grades.csv").read_text()
        assert "4.4" in text and "blaise@x.cz" in text and "ada@x.cz" in text
    run("export", "--format", "jsonl", "--out", "marks.jsonl", "--anonymous")
    assert "Blaise" not in (course.folder / "marks.jsonl").read_text()
    (course.folder / "course.toml").write_text("title = 1\nterm = 2")
    assert "course.toml: title must be a text in quotes, got 1" in run("export", "--format", "jsonl", "--out", "x", status=2)
