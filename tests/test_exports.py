"""Marks as other systems read them: golden files, what goes in again, cells that no spreadsheet executes, nothing that tells an answer.

`python tests/test_exports.py` writes the golden files anew; look at the difference before you commit it.
"""

import csv
import datetime
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace
from sample_results import check, graded, result_of, sample_class

from grader import brought
from grader.classroom.store import Store
from grader.course.exports import canvas, formats, github, gradescope, jsonl, junit, moodle, nbgrader
from grader.course.exports.feedback import write_feedback
from grader.course.exports.formats import ExportError, Request, anonymous
from grader.course.exports.plain import plain_marks
from grader.course.marks import Mark, Person
from grader.intake import moodle as packed
from grader.records import Result

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
HANDED_IN = datetime.datetime(2026, 10, 5, 22, 30, tzinfo=datetime.UTC)
EVIL = '=HYPERLINK("http://evil.invalid";"x")'
WORKSHEET = """\
\ufeffIdentifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,Last modified (grade),Feedback comments\r
Participant 101,Ada Lovelace,ada@example.org,"Submitted for grading - 1 day, late",,11.00,Yes,"Monday, 5 October 2026, 10:23 AM",\r
Participant 102,Jan Novák,jan1@example.org,Submitted,3.00,11.00,Yes,-,earlier\r
Participant 103,Jan Novák,jan2@example.org,Submitted,,11.00,Yes,-,\r
Participant 104,Blaise Pascal,blaise@example.org,No submission,,11.00,Yes,-,\r
Participant 105,=cmd|calc,evil@example.org,Submitted,,11.00,Yes,-,\r
Participant 106,Emmy Noether,emmy@example.org,Submitted,5.00,11.00,No,-,\r
Participant 107,Somebody Else,else@example.org,Submitted,9.00,11.00,Yes,-,"two
lines"\r
"""
GRADEBOOK = """\
Student,ID,SIS User ID,SIS Login ID,Section,Notes,Proximal policy optimization (4711),Quiz (12),Final Score
,,,,,,Manual Posting,,
    Points Possible,,,,,,11,5,(read only)
"Lovelace, Ada",7,007,ada,One,a note,,4,80
"Novák, Jan",8,008,jan1@example.org,One,,1,5,90
"Novák, Jan",9,009,jan2,Two,,,,
"Pascal, Blaise",10,,blaise,Two,,,,
"Noether, Emmy",12,,emmy,Two,,,,
"Else, Somebody",99,,else,Two,,7,1,
"Gauss, Carl",13,,carl,Two,,,,
"""


def person(name: str, number: int, mail: str, **more) -> Person:
    return Person(name, f"person {number}", f"{mail}@example.org", keys={"moodle": str(100 + number), "canvas": str(6 + number)}, **more)


def marks() -> list[Mark]:
    """Return marks in which everything that can be happens once."""
    ada, dora, carl = (next(result for result in sample_class() if result.student == name) for name in ("ada", "dora", "carl"))
    evil = graded("evil", {("entropy", 0): {"verdict": "crashed", "feedback": f"{EVIL}\n::error::x in line 92: <b>&\x1b[31m%0A"}})
    common = {"assignment": "ppo", "title": "Proximal policy optimization", "max_points": 11.0}

    def mark(who: Person, result: Result | None, state="graded", **fields) -> Mark:
        score = result.score if result else 0.0
        return Mark(person=who, state=state, result=result, **({"points": score, "score": score} | common | fields))

    three = datetime.timedelta(hours=3)
    ten = {"submitted_at": HANDED_IN, "attempt": 2, "attempts": 2}
    return [
        mark(person("Ada Lovelace", 1, "ada", sid="007"), ada, **ten, origin="Ada Lovelace_101_assignsubmission_file_"),
        mark(
            person("Jan Novák", 2, "jan1"), dora, **ten, points=5.5, penalty=1.5, adjustment=1.0, due=HANDED_IN - three, late=three,
            comments=("+1 for the question\nabout λ",), origin="Jan Novák_102_assignsubmission_file_",
        ),
        mark(person("Jan Novák", 3, "jan2"), carl, origin="Jan Novák_103_assignsubmission_file_"),
        mark(person("Blaise Pascal", 4, "blaise"), None, "missing"),
        mark(Person(EVIL, "person 5", "evil@example.org", "@sid", keys={"moodle": "105", "nbgrader": "+1"}), evil),
        mark(person("Emmy Noether", 6, "emmy"), ada, origin="Emmy Noether_106_assignsubmission_file_"),
        mark(person("Carl Gauss", 7, "carl"), None, "excused"),
        mark(person("Hugo", 8, "hugo"), None, "waiting"),
        mark(person("Iris", 9, "iris"), result_of("iris", [check(verdict="grader_fault", feedback="a bug")]), "fault"),
    ]  # fmt: skip


def given(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Write every format; yield the names and contents of the files."""
    worksheet, gradebook = given(folder, "worksheet.csv", WORKSHEET), given(folder, "gradebook.csv", GRADEBOOK)
    for module, into, out in (
        (moodle, worksheet, "moodle.csv"),
        (canvas, gradebook, "canvas.csv"),
        (nbgrader, None, "nbgrader.csv"),
        (junit, None, "junit.xml"),
        (jsonl, None, "marks.jsonl"),
        (gradescope, None, "gradescope"),
        (github, None, "github"),
    ):
        for path in module.write(Request(marks(), folder / out, into, now=NOW)).paths:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


CHOSEN = re.compile(r"(moodle|canvas|nbgrader)\.csv|junit\.xml|marks\.jsonl|(gradescope|github)/Jan Novák person 2/ppo\.\w+")


def test_each_format_is_as_its_golden_file_says(tmp_path):
    found = {name.replace("/", " "): content for name, content in written(tmp_path) if CHOSEN.fullmatch(name)}
    assert set(found) == {path.name for path in GOLDEN.iterdir()}
    for name, content in found.items():
        assert content.decode() == (GOLDEN / name).read_bytes().decode(), name


def records(path: Path, separator: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), delimiter=separator))


def test_moodles_worksheet_comes_back_with_grades_and_nothing_else_changed(tmp_path):
    result = moodle.write(Request(marks(), tmp_path / "out.csv", given(tmp_path, "in.csv", WORKSHEET)))
    before, after = records(tmp_path / "in.csv"), records(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfIdentifier,") and b"\r\n" in (tmp_path / "out.csv").read_bytes()
    assert [row["Grade"] for row in after] == ["11", "5.5", f"{marks()[2].points:g}", "0", "10", "5.00", "9.00"]
    for one, other in zip(before, after, strict=True):
        assert {name for name in one if one[name] != other[name]} <= {"Grade", "Feedback comments"}
    assert (before[5], before[6]) == (after[5], after[6])
    assert result.left_out == ("Emmy Noether: Moodle says that this grade cannot be changed",)
    assert "&lt;b&gt;" not in after[4]["Feedback comments"] and after[3]["Feedback comments"] == "0 of 11 points; nothing was handed in"
    assert after[1]["Feedback comments"].startswith("5.5 of 11 points (9 + 1 adjusted − 1.5 for being late); not passed: lambda_advantage")


def test_a_group_of_moodle_is_matched_by_its_members_not_by_its_number(tmp_path):
    """The number in a group's folder is the group's, and may be that of a participant too."""
    group = replace(marks()[3], state="graded", points=4.0, origin="Group A_101_assignsubmission_file_")
    moodle.write(Request([group], tmp_path / "out.csv", given(tmp_path, "in.csv", WORKSHEET)))
    assert [row["Grade"] for row in records(tmp_path / "out.csv")][:4] == ["", "3.00", "", "4"]


def test_what_is_not_due_yet_is_left_as_it_is(tmp_path):
    blaise = replace(marks()[3], due=NOW + datetime.timedelta(days=1))
    moodle.write(Request([blaise], tmp_path / "moodle.csv", given(tmp_path, "in.csv", WORKSHEET), now=NOW))
    canvas.write(Request([blaise], tmp_path / "canvas.csv", given(tmp_path, "book.csv", GRADEBOOK), now=NOW))
    assert records(tmp_path / "moodle.csv") == records(tmp_path / "in.csv") and records(tmp_path / "canvas.csv") == records(
        tmp_path / "book.csv"
    )
    assert nbgrader.write(Request([blaise], tmp_path / "out.csv", now=NOW)).left_out == ("Blaise Pascal has no mark for ppo yet",)
    jsonl.write(Request([blaise], tmp_path / "out.jsonl", now=NOW))
    assert json.loads((tmp_path / "out.jsonl").read_text())["ags"]["gradingProgress"] == "NotReady"


def test_a_blind_worksheet_of_moodle_is_matched_by_number(tmp_path):
    blind = "Identifier,Status,Grade,Last modified (grade)\nParticipant 102,Submitted,-,-\nParticipant 1020,Submitted,-,-\n"
    result = moodle.write(Request(marks()[1:2], tmp_path / "out.csv", given(tmp_path, "in.csv", blind)))
    assert [row["Grade"] for row in records(tmp_path / "out.csv")] == ["5.5", "-"] and not result.left_out


def test_namesakes_without_anything_else_are_left_out(tmp_path):
    nameless = [replace(mark, person=Person("Jan Novák", "x"), origin=None) for mark in marks()[1:2]]
    result = moodle.write(Request(nameless, tmp_path / "out.csv", given(tmp_path, "in.csv", WORKSHEET)))
    assert result.left_out == ("Jan Novák is not in it, or cannot be told from others there",)
    assert records(tmp_path / "in.csv") == records(tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WORKSHEET.replace("11.00", "100,00".join('""')), "is for at most 100 points, and ppo has 11: set that maximum in Moodle"),
        (WORKSHEET.replace("Identifier", "Teilnehmer"), "has no column Identifier, but Teilnehmer, "),
        ("", "has no line of headings that differ"),
        ("a,a\n", "has no line of headings that differ"),
        ("\udcff", "is not a CSV file in UTF-8"),
        ("a,b\n" + "x" * 200_000, "is not a CSV file in UTF-8"),
    ],
)
def test_a_worksheet_that_cannot_be_filled_is_a_sentence(tmp_path, text, message):
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ExportError, match=message):
        moodle.write(Request(marks(), tmp_path / "out.csv", path))
    assert not (tmp_path / "out.csv").exists()


def test_what_moodle_needs(tmp_path):
    with pytest.raises(ExportError, match="takes back the grading worksheet that it gave: name that with --into"):
        moodle.write(Request(marks(), tmp_path / "out.csv"))
    with pytest.raises(ExportError, match="nowhere.csv cannot be read: No such file"):
        moodle.write(Request(marks(), tmp_path / "out.csv", tmp_path / "nowhere.csv"))
    several = [*marks(), replace(marks()[0], assignment="trpo")]
    with pytest.raises(ExportError, match="takes the marks of one assignment, and there are marks for ppo, trpo: name one with --assign"):
        moodle.write(Request(several, tmp_path / "out.csv", given(tmp_path, "in.csv", WORKSHEET)))
    with pytest.raises(ExportError, match="there are no marks"):
        moodle.write(Request([], tmp_path / "out.csv", given(tmp_path, "in.csv", WORKSHEET)))
    with pytest.raises(ExportError, match="cannot write .*: .*; what was there is intact"):
        moodle.write(Request(marks(), given(tmp_path, "file", "") / "out.csv", given(tmp_path, "in.csv", WORKSHEET)))


def test_a_huge_table_is_not_read(tmp_path):
    with open(tmp_path / "in.csv", "wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(ExportError, match="has more than 64 MiB"):
        moodle.write(Request(marks(), tmp_path / "out.csv", tmp_path / "in.csv"))


def test_canvass_gradebook_comes_back_with_one_column_filled(tmp_path):
    result = canvas.write(Request(marks(), tmp_path / "out.csv", given(tmp_path, "in.csv", GRADEBOOK)))
    before, after = records(tmp_path / "in.csv"), records(tmp_path / "out.csv")
    column = "Proximal policy optimization (4711)"
    assert [row[column] for row in after] == ["Manual Posting", "11", "11", "5.5", f"{marks()[2].points:g}", "0", "11", "7", "EX"]
    for one, other in zip(before, after, strict=True):
        assert {name for name in one if one[name] != other[name]} <= {column}
    assert result.left_out[0].startswith(f"{EVIL} is not in it")


def test_canvass_gradebook_with_semicolons_and_a_column_by_name(tmp_path):
    text = GRADEBOOK.replace(", ", "¤").replace(",", ";").replace("¤", ", ").replace("Proximal policy optimization", "Homework")
    gradebook = given(tmp_path, "in.csv", text)
    with pytest.raises(ExportError, match=r"has no column for ppo: name one with --column, of Homework \(4711\), Quiz \(12\)"):
        canvas.write(Request(marks(), tmp_path / "out.csv", gradebook))
    with pytest.raises(ExportError, match=r"has no column 'Exam': name one of Homework"):
        canvas.write(Request(marks(), tmp_path / "out.csv", gradebook, "Exam"))
    with pytest.raises(ExportError, match="is for at most 5 points, and ppo has 11: set these points in Canvas"):
        canvas.write(Request(marks(), tmp_path / "out.csv", gradebook, "Quiz (12)"))
    with pytest.raises(ExportError, match="read only in Canvas"):
        canvas.write(Request(marks(), tmp_path / "out.csv", gradebook, "Final Score"))
    canvas.write(Request(marks(), tmp_path / "out.csv", gradebook, "Homework (4711)"))
    assert records(tmp_path / "out.csv", ";")[3]["Homework (4711)"] == "5.5"


def test_what_canvas_needs(tmp_path):
    with pytest.raises(ExportError, match="takes back the gradebook that it gave: export it, and name that with --into"):
        canvas.write(Request(marks(), tmp_path / "out.csv"))
    with pytest.raises(ExportError, match="has no columns ID and Section: export the gradebook from Canvas in English"):
        canvas.write(Request(marks(), tmp_path / "out.csv", given(tmp_path, "in.csv", WORKSHEET)))


def test_no_cell_that_we_write_is_executed_and_nbgraders_table_goes_in_again(tmp_path):
    nbgrader.write(Request(marks(), tmp_path / "out.csv"))
    rows = records(tmp_path / "out.csv")
    assert tuple(rows[0]) == nbgrader.COLUMNS
    assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for text in row.values())
    assert (rows[4]["student_id"], rows[4]["last_name"]) == ("'+1", f"'{EVIL}")
    assert rows[1]["duedate"] == "2026-10-05 19:30:00 +0000" and rows[1]["score"] == "5.5" and rows[3]["timestamp"] == ""
    assert (rows[0]["first_name"], rows[0]["last_name"], rows[0]["max_score"]) == ("Ada", "Lovelace", "11")
    assert formats.cell("\uff1d1+1") == "'\uff1d1+1" and formats.cell("\r=1") == "'\r=1"


def test_gradescope_shows_claims_and_hints_but_no_expected_value(tmp_path):
    result = gradescope.write(Request(marks(), tmp_path))
    told = json.loads((tmp_path / "Jan Novák person 3" / "ppo.json").read_text())
    mark = marks()[2]
    assert told["score"] == mark.points and len(told["tests"]) == len(mark.result.parts)
    assert told["visibility"] == "visible" and told["stdout_visibility"] == "hidden" and told["output_format"] == "text"
    assert {test["status"] for test in told["tests"]} == {"passed", "failed"}
    assert all(test["visibility"] == "visible" and 0 <= test["score"] <= test["max_score"] for test in told["tests"])
    said = {sentence for part in mark.result.failures for sentence in formats.reasons(part)}
    assert {line for test in told["tests"] for line in test["output"].splitlines()} == said, "what a part says to the student, no more"
    assert sum(test["score"] for test in told["tests"]) == pytest.approx(mark.score)
    assert "Iris has no result for ppo" in result.left_out and len(result.paths) == 5


# The elements and attributes of junit-10.xsd, which Jenkins validates against: (attributes, those required, children in any order).
SCHEMA = {
    "testsuites": ({"name", "time", "tests", "failures", "errors", "disabled"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url",
         "version"},
        {"name", "tests", "failures", "errors"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "time", "classname", "group"},
        {"name", "classname"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
}  # fmt: skip


def test_junit_follows_its_schema(tmp_path):
    junit.write(Request(marks(), tmp_path / "out.xml"))
    root = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert root.tag == "testsuites" and len(root) == len(marks())
    for element in root.iter():
        attributes, required, children = SCHEMA[element.tag]
        assert required <= set(element.attrib) <= attributes and {child.tag for child in element} <= children
        assert all(float(element.get(name, 0)) >= 0 for name in ("tests", "failures", "errors", "skipped", "time"))
    for suite in root:
        assert int(suite.get("tests")) == len(suite) and int(suite.get("failures")) == len(suite.findall("testcase/failure"))
    assert [suite.find("testcase/skipped") is not None for suite in root] == [False, False, False, True, False, False, True, True, False]
    assert root.get("errors") == "1" and root.find("testsuite[9]/testcase/error").get("type") == "grader_fault"


def test_what_a_submission_printed_makes_no_command_of_githubs(tmp_path):
    github.write(Request(marks(), tmp_path))
    evil = next(path for path in tmp_path.iterdir() if path.name.startswith("=HYP"))
    lines = (evil / "ppo.txt").read_text().splitlines()
    assert len(lines) == 2 and lines[0].startswith("::error file=ppo.py,line=92,title=entropy::") and lines[1].startswith("::notice ")
    assert "%250A" in lines[0] and "\x1b" not in lines[0]
    annotations = json.loads((evil / "ppo.json").read_text())
    assert {each["annotation_level"] for each in annotations} <= {"notice", "warning", "failure"}
    assert all(set(each) == {"path", "start_line", "end_line", "annotation_level", "title", "message"} for each in annotations)


def test_github_says_why_nothing_could_be_graded_and_that_the_grader_failed(tmp_path):
    felix = next(result for result in sample_class() if result.student == "felix")
    stopped = replace(marks()[0], result=felix, points=0.0)
    many = replace(marks()[0], result=marks()[8].result, person=Person("Iris", "i"))
    github.write(Request([stopped, many], tmp_path))
    (first,) = json.loads((tmp_path / "Ada Lovelace" / "ppo.json").read_text())
    assert (first["start_line"], first["annotation_level"]) == (31, "failure") and "'(' was never closed" in first["message"]
    assert json.loads((tmp_path / "Iris" / "ppo.json").read_text())[0]["annotation_level"] == "warning"


def test_json_lines_hold_what_lti_needs(tmp_path):
    jsonl.write(Request(marks(), tmp_path / "out.jsonl", now=NOW))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == len(marks()) and [line["points"] for line in lines] == [mark.points for mark in marks()]
    for line in lines:
        score = line["ags"]
        assert {"userId", "activityProgress", "gradingProgress", "timestamp"} <= set(score)
        assert ("scoreGiven" in score) == ("scoreMaximum" in score) == (score["gradingProgress"] == "FullyGraded")
        assert datetime.datetime.fromisoformat(score["timestamp"]) == NOW
    assert lines[0]["ags"]["submission"] == {"submittedAt": "2026-10-05T22:30:00.000+00:00"}
    assert [line["ags"]["gradingProgress"] for line in lines[-3:]] == ["NotReady", "Pending", "Failed"]


def test_the_reports_lie_in_the_folders_of_the_platform(tmp_path):
    hostile = replace(marks()[0], origin="../..\\a:\x1b/x")
    team = [replace(marks()[0], person=Person(name, name)) for name in ("one", "two")]
    result = write_feedback([*marks()[:4], hostile, *team], tmp_path / "feedback.zip")
    with zipfile.ZipFile(tmp_path / "feedback.zip") as archive:
        names = archive.namelist()
        assert b"Jan" not in archive.read(names[0]) and b"ada" in archive.read(names[0])
    assert names == [
        "Ada Lovelace_101_assignsubmission_file_/report.html",
        "Jan Novák_102_assignsubmission_file_/report.html",
        "Jan Novák_103_assignsubmission_file_/report.html",
        "a:_/x/report.html",
    ]
    assert packed.PACKED.fullmatch(names[1].split("/")[0])["number"] == "102"
    assert result.left_out == (), "who handed in nothing misses nothing"
    first = (tmp_path / "feedback.zip").read_bytes()
    write_feedback([*marks()[:4], hostile, *team], tmp_path / "feedback.zip")
    assert (tmp_path / "feedback.zip").read_bytes() == first
    waiting = write_feedback([replace(marks()[3], state="waiting")], tmp_path / "feedback.zip")
    assert waiting.left_out == ("Blaise Pascal has no report for ppo",)


@pytest.mark.parametrize("module", [gradescope, nbgrader, junit, github, jsonl])
def test_no_format_tells_who_an_anonymous_person_is(tmp_path, module):
    hidden = anonymous([mark for mark in marks() if mark.person.name != "Iris"])
    out = tmp_path / "out"
    paths = module.write(Request(hidden, out, now=NOW)).paths
    write_feedback(hidden, tmp_path / "feedback.zip")
    told = "\n".join(f"{path.relative_to(out)}\n{path.read_text()}" for path in paths)
    with zipfile.ZipFile(tmp_path / "feedback.zip") as archive:
        told += "\n".join(name + archive.read(name).decode() for name in archive.namelist())
    assert "person 2" in told
    for secret in ("Novák", "Lovelace", "jan1", "example.org", "007", "@sid", "assignsubmission", "question", ">ada<", ">dora<"):
        assert secret not in told, secret


@pytest.fixture
def results(tmp_path):
    store = Store(tmp_path / "results")
    for result in sample_class():
        if not result.is_fault:
            name = {"ada": "Ada Lovelace_101", "dora": "Jan Novák_103"}.get(result.student, result.student)
            store.write(replace(result, student=name))
    return tmp_path / "results"


def test_the_command_on_a_folder_of_results(results, tmp_path, command):
    assert command("export", results, "--format", "junit", "--out", tmp_path / "out.xml") == (0, f"written: {tmp_path / 'out.xml'}\n", "")
    status, printed, _ = command(
        "export", results, "--format", "moodle", "--out", tmp_path / "out.csv", "--into", given(tmp_path, "in.csv", WORKSHEET),
        "--feedback", tmp_path / "feedback.zip",
    )  # fmt: skip
    assert status == 3 and "blaise is not in it, or cannot be told from others there" in printed
    assert [row["Grade"] for row in records(tmp_path / "out.csv")][:3] == ["11", "3.00", "9"]
    with zipfile.ZipFile(tmp_path / "feedback.zip") as archive:
        assert "Ada Lovelace_101_assignsubmission_file_/report.html" in archive.namelist()


def test_the_command_without_names(results, tmp_path, command):
    (results / "seed.txt").write_text("5\n")
    for out in ("one.csv", "two.csv"):
        assert command("export", results, "--format", "nbgrader", "--out", tmp_path / out, "--anonymous")[0] == 0
    text = (tmp_path / "one.csv").read_text()
    assert text == (tmp_path / "two.csv").read_text() and "Lovelace" not in text and len(set(re.findall("[0-9a-f]{10}", text))) == 9
    (results / "seed.txt").write_text("6\n")
    command("export", results, "--format", "nbgrader", "--out", tmp_path / "two.csv", "--anonymous")
    assert text != (tmp_path / "two.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "excel"), "there is no format 'excel'; there are canvas, github, gradescope, jsonl, junit, moodle, nbgrader"),
        (
            ("--format", "moodle", "--anonymous", "--into", "in.csv"),
            "in.csv names persons, to whom pseudonyms cannot be matched: leave",
        ),
        (("--format", "moodle"), "Moodle takes back the grading worksheet that it gave: name that with --into"),
        (("--format", "jsonl", "--assignment", "trpo"), "there is no mark for 'trpo'; there is only ppo"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(results, tmp_path, command, arguments, message):
    status, _, complaint = command("export", results, "--out", tmp_path / "out", *arguments)
    assert status == 2 and message in complaint


def test_a_folder_without_results_and_a_damaged_one(results, tmp_path, command):
    status, _, complaint = command("export", tmp_path / "nowhere", "--format", "jsonl", "--out", tmp_path / "out")
    assert status == 2 and "there is no result in" in complaint
    (results / "ivan" / "ppo.json").write_text("{")
    status, printed, _ = command("export", results, "--format", "jsonl", "--out", tmp_path / "out")
    assert status == 3 and "ivan/ppo.json is damaged: grade it again" in printed
    assert len(plain_marks(results)[0]) == 8


def test_a_format_of_another_package(monkeypatch, results, tmp_path, command):
    module = ModuleType("another_format")
    module.write = lambda request: formats.Written((request.out,), tuple(mark.person.name for mark in request.marks))
    monkeypatch.setitem(sys.modules, "another_format", module)
    real = brought.entry_points
    points = [EntryPoint("another", "another_format", formats.GROUP)]
    monkeypatch.setattr(brought, "entry_points", lambda group: [*real(group=group), *points])
    brought.brought.cache_clear()
    assert "Ada Lovelace" in command("export", results, "--format", "another", "--out", tmp_path / "out")[1]
    points.append(EntryPoint("another", "nowhere_at_all", formats.GROUP))
    brought.brought.cache_clear()
    assert "two packages bring the format 'another'" in command("export", results, "--format", "jsonl", "--out", tmp_path / "out")[2]
    points[:] = [EntryPoint("broken", "nowhere_at_all", formats.GROUP)]
    brought.brought.cache_clear()
    assert "a format cannot be loaded: No module" in command("export", results, "--format", "jsonl", "--out", tmp_path / "out")[2]
    monkeypatch.undo()
    brought.brought.cache_clear()


if __name__ == "__main__":
    import tempfile

    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.iterdir():
        path.unlink()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in written(Path(folder)):
            if CHOSEN.fullmatch(name):
                (GOLDEN / name.replace("/", " ")).write_bytes(content)
