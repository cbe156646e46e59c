"""What learning platforms pack becomes deliveries: who, when, which attempt, out of what. Hostile exports stop nothing of the rest."""

import datetime
import io
import os
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from grader import brought
from grader.classroom.intake import collect
from grader.intake import adapters, archives, canvas, gradescope, moodle, repositories, words
from grader.intake.adapters import deliveries
from grader.intake.deliveries import Claim, Delivery
from grader.intake.parcels import Export, NoSubmission

TOPICS = ("newton_fisher", "trpo", "ppo", "agent57")
CODE = "def clipped_surrogate():\n    return 1\n"
UTC = datetime.UTC


def placed(root: Path, **files: str | bytes) -> Path:
    return laid(root, files)


def laid(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def zipped(files: dict[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(params=["folder", "archive", "above"])
def export(request, tmp_path):
    """Lay files out as a folder, as a zip archive, or in a folder of the same name below the one that is named, as unpacking makes it."""

    def lay(files: dict[str, str | bytes]) -> Path:
        if request.param == "archive":
            laid(tmp_path, {"export.zip": zipped(files)})
            return tmp_path / "export.zip"
        path = tmp_path / "export"
        laid(path if request.param == "folder" else path / "export", files)
        return path

    return lay


def system(path: Path) -> str:
    return adapters.recognized(Export(path, TOPICS)).system


def told(delivered: list[Delivery]) -> dict[str, Delivery]:
    """Return the deliveries by the keys of their members, each of which has one."""
    by_key = {"+".join(member.key for member in delivery.members): delivery for delivery in delivered}
    assert len(by_key) == len(delivered)
    return by_key


def contents(delivery: Delivery) -> dict[str, str]:
    return {name: content.read().decode() for name, content in delivery.files}


MOODLE = {
    "Jan Novák_101_assignsubmission_file_/ppo.py": CODE,
    "Jan Novák_102_assignsubmission_file_/homework/ppo.ipynb": "{}",
    "Group A_7_assignsubmission_file/ppo.py": "x = 1\n",
    "مريم العلي_103_assignsubmission_onlinetext_/onlinetext.html": "<html><body><p>x = 2<br>y = 3</p></body></html>",
    "Default group_assignsubmission_file_/ppo.py": "x = 4\n",
}
WORKSHEET = (
    "\ufeffIdentifier,Full name,Email address,Status,Group,Grade,Maximum Grade,Last modified (submission),Last modified (grade)\r\n"
    'Participant 101,Jan Novák,jan1@example.org,Submitted,,,32.00,"Monday, 5 October 2026, 10:23 AM",-\r\n'
    "Participant 201,Ada Lovelace,ada@example.org,Submitted,Group A,,32.00,-,-\r\n"
    "Participant 202,Blaise Pascal,blaise@example.org,Submitted,Group A,,32.00,-,-\r\n"
)


def test_moodle_tells_namesakes_by_their_numbers_and_reads_what_was_typed(export):
    path = export(MOODLE)
    assert system(path) == "moodle"
    found = told(deliveries(path, topics=TOPICS))
    assert list(contents(found["101"])) == ["ppo.py"] and found["102"].files[0][0] == "ppo.ipynb"
    assert found["101"].members == (Claim("moodle", "101", "Jan Novák"),) and found["102"].members[0].name == "Jan Novák"
    assert found["103"].members[0].name == "مريم العلي" and contents(found["103"]) == {"onlinetext.py": "x = 2\ny = 3\n"}
    assert found["Default group"].team == "Default group"
    assert {delivery.topic for delivery in found.values()} == {"ppo"}
    assert found["101"].origin == "Jan Novák_101_assignsubmission_file_" and found["7"].origin == "Group A_7_assignsubmission_file"


def test_moodles_worksheet_tells_mail_times_and_the_members_of_a_group(export):
    found = told(
        deliveries(export(MOODLE | {"Grades-PPO.csv": WORKSHEET}), topics=TOPICS, deadlines=[datetime.datetime(2026, 10, 6, tzinfo=UTC)])
    )
    assert found["101"].members[0].email == "jan1@example.org"
    assert (found["101"].submitted_at, found["101"].time_source) == (datetime.datetime(2026, 10, 5, 10, 23, tzinfo=UTC), "platform")
    assert found["201+202"].team == "Group A" and [member.name for member in found["201+202"].members] == ["Ada Lovelace", "Blaise Pascal"]


CZECH = """\
Identifikátor;Celé jméno;E-mailová adresa;Stav;Skupina;Známka;Maximální známka;Poslední změna (odevzdaný úkol)
Účastník101;Jan Novák;jan1@example.org;Odevzdáno k hodnocení;;;32,00;Pondělí, 5. říjen 2026, 10.23
Účastník201;Ada Lovelace;ada@example.org;Odevzdáno k hodnocení;Group A;;32,00;-
Účastník202;Blaise Pascal;;Odevzdáno k hodnocení;Group A;;32,00;-
"""
BLIND = "Kennung,Status,Gruppe,Bewertung\nTeilnehmer/in 201,Abgegeben,Group A,\nTeilnehmer/in 202,Abgegeben,Group A,\n"


@pytest.mark.parametrize(
    ("worksheet", "known", "names", "mail"),
    [
        (CZECH, "names and addresses and groups", ["Ada Lovelace", "Blaise Pascal"], "jan1@example.org"),
        (BLIND, "groups", [None, None], None),
        (BLIND.replace("Group A", ""), "numbers", None, None),
    ],
)
def test_a_worksheet_in_another_language_is_known_by_its_cells(export, worksheet, known, names, mail):
    told_of = []
    path = export(MOODLE | {"Známky.csv": worksheet})
    found = told(deliveries(path, topics=TOPICS, notice=told_of.append))
    [sentence] = told_of
    assert f"Známky.csv is in another language: {known} are taken from it, times are not; if they matter, choose English" in sentence
    assert (found["101"].members[0].email, found["101"].submitted_at) == (mail, None)
    if names:
        assert [member.name for member in found["201+202"].members] == names
    else:
        assert found["7"].members == (Claim("moodle", "7", "Group A"),)


@pytest.mark.parametrize(
    ("worksheet", "sentence"),
    [
        (WORKSHEET.replace("Monday, 5 October 2026, 10:23 AM", "10/5/26, 10:23"), "1 times, such as '10/5/26, 10:23', are written as none"),
        ("name,points\nAda,3\n", "is not a grading worksheet, or cannot be read as one: nothing is taken from it"),
        ("", "is no table: nothing is taken from it"),
        (f"Identifier\n{131_073 * 'x'}\n", "is no table: nothing is taken from it"),
    ],
)
def test_what_is_not_understood_of_a_worksheet_is_told(export, worksheet, sentence):
    told_of = []
    deliveries(export(MOODLE | {"Grades.csv": worksheet}), topics=TOPICS, notice=told_of.append)
    assert len(told_of) == 1 and sentence in told_of[0] and "Grades.csv" in told_of[0]


def test_blind_participants_of_moodle_have_no_name(export):
    found = told(deliveries(export({f"Participant_{number}_assignsubmission_file_/ppo.py": CODE for number in (1234, 99)}), topics=TOPICS))
    assert found["1234"].members == (Claim("moodle", "1234"),) and set(found) == {"1234", "99"}


def test_moodles_files_without_folders(tmp_path):
    laid(tmp_path, {"Jan Novák_5_assignsubmission_file_ppo.py": CODE, "Eva_6_assignsubmission_file_x.zip": zipped({"a/ppo.py": CODE})})
    found = told(deliveries(tmp_path, topics=TOPICS))
    assert contents(found["5"]) == {"ppo.py": CODE} and contents(found["6"]) == {"ppo.py": CODE}


def test_what_lies_beside_moodles_folders_is_not_lost(tmp_path):
    laid(tmp_path, MOODLE | {"late by mail/ppo.py": CODE})
    assert Claim("folder", "late by mail", "late by mail") in [delivery.members[0] for delivery in deliveries(tmp_path, topics=TOPICS)]


def test_one_students_folder_that_looks_like_moodles_changes_nobodys_name(tmp_path):
    names = ("mallory/Ada_7_assignsubmission_file_/ppo.py", "mallory/adalovelace_7_9_ppo.py", "ada/ppo.py", "eva/ppo.py", "carl/ppo.py")
    laid(tmp_path, dict.fromkeys(names, CODE))
    assert system(tmp_path) == "folders"
    assert {one.members[0].key for one in deliveries(tmp_path, topics=TOPICS)} == {"mallory", "ada", "eva", "carl"}


def test_a_folder_whose_name_only_looks_like_anothers_takes_nothing_from_them(tmp_path):
    laid(tmp_path, {"ada/ppo.py": CODE, "ada\u202e/ppo.py": "x = 1\n", "eva/ppo.py": CODE})
    assert set(told(deliveries(tmp_path, topics=TOPICS))) == {"ada", "ada_", "eva"}
    assert [(one.student, one.problem) for one in collect([tmp_path], TOPICS)] == [("ada", None), ("ada_", None), ("eva", None)]


IMITATED = {
    "canvas": [f"adalovelace_{user}_11_ppo.py" for user in (1, 2)],
    "moodle": [f"Ada Lovelace_{user}_assignsubmission_file_/ppo.py" for user in (1, 2)],
    "gradescope": ["submission_metadata.yml", "submission_1/ppo.py"],
    "nbgrader": ["submitted/ada/ppo/ppo.py", "submitted/ada/ppo/timestamp.txt", "source/ppo.txt"],
    "nbgrader, only times": [f"{who}/ps1/{what}" for who in ("ada", "eva") for what in ("ppo.py", "timestamp.txt")],
    "folders": ["ada/ppo.py", "carl/ppo.py"],
}


def imitation(folder: Path, of: str) -> Path:
    metadata = "submission_1:\n  :submitters:\n  - :name: Ada\n    :email: ada@x.org\n"
    return laid(folder, {name: metadata if name.endswith(".yml") else CODE for name in IMITATED[of]})


@pytest.mark.parametrize("others", ["ppo.py", "notes.txt", ".nothing"])
@pytest.mark.parametrize("imitated", IMITATED)
def test_however_many_files_one_student_packs_like_a_platform_nobody_else_is_named(tmp_path, imitated, others):
    imitation(tmp_path / "class" / "mallory", imitated)
    laid(tmp_path / "class", {f"{student}/{others}": CODE for student in ("bob", "eva")})
    for path in (tmp_path / "class", tmp_path):
        assert system(path) == "folders"
        assert {one.student for one in collect([path], TOPICS)} == {"bob", "eva", "mallory"}


@pytest.mark.parametrize("imitated", [name for name in IMITATED if name != "folders"])
def test_what_may_be_the_imitation_of_the_only_student_is_the_instructors_to_decide(tmp_path, imitated):
    path = tmp_path / "class"
    inside = imitation(path / "mallory", imitated)
    name = imitated.partition(",")[0]
    with pytest.raises(NoSubmission, match=f"mallory is the only folder and looks like what {name} packs, .* that, name this folder"):
        collect([path], TOPICS)
    files = [each for each in inside.rglob("*") if each.is_file()]
    laid(tmp_path, {"class.zip": zipped({str(each.relative_to(path)): each.read_bytes() for each in files})})
    with pytest.raises(NoSubmission, match="if it is that, unpack the archive and name this folder itself, otherwise let the student"):
        deliveries(tmp_path / "class.zip", topics=TOPICS)
    assert deliveries(path, "folders", topics=TOPICS), "a course says which platform it is from"
    assert system(inside) == name


@pytest.mark.parametrize("around", ["assignment_7_export", "submitted", "homework-submissions"])
def test_a_folder_that_is_called_as_a_platform_calls_it_is_no_students(tmp_path, around):
    if around == "assignment_7_export":
        imitation(tmp_path / "class" / around, "gradescope")
    elif around == "submitted":
        imitation(tmp_path / "class" / around, "nbgrader, only times")
    else:
        cloned(tmp_path / "class" / around / "homework-ada", ("2026-10-01T12:00:00Z", {"ppo.py": CODE}))
    assert system(tmp_path / "class") in ("gradescope", "nbgrader", "github")


def test_folders_of_moodle_without_a_program_are_participants(tmp_path):
    laid(tmp_path, {"Eva_6_assignsubmission_file_/essay.pdf": ""})
    assert system(tmp_path) == "moodle"
    (eva,) = deliveries(tmp_path, topics=TOPICS, assignment="ppo")
    assert (eva.members[0].key, eva.problem) == ("6", "there is no ppo.py or ppo.ipynb: hand it in")


def test_a_name_composed_in_another_way_is_the_same_participant(tmp_path):
    laid(tmp_path, {"Zoë_5_assignsubmission_file_/ppo.py": CODE, "Zoe\u0308_5_assignsubmission_onlinetext_/onlinetext.html": "x"})
    (delivery,) = deliveries(tmp_path, topics=TOPICS)
    assert delivery.members == (Claim("moodle", "5", "Zoë"),) and contents(delivery) == {"ppo.py": CODE}


CANVAS = {
    "novakjan_LATE_123_456_ppo-2.py": "x = 3\n",
    "novakjan_LATE_123_455_ppo-1.py": "x = 2\n",
    "lovelaceada_7_300_homework.zip": zipped({"homework/ppo.py": CODE}),
    "anon_Ab3dE_301_ppo.ipynb": "{}",
    "pascal_9_text.html": "<!DOCTYPE html><html><head><title>Pascal</title></head><body><pre>x = 1\n\ny = 2</pre></body></html>",
}


def test_canvas_tells_who_is_late_and_which_upload_was_the_last(export):
    path = export(CANVAS)
    assert system(path) == "canvas"
    found = told(deliveries(path, topics=TOPICS))
    assert contents(found["123"]) == {"ppo.py": "x = 3\n"}
    assert (found["123"].late, found["123"].attempt, found["123"].origin) == (True, 3, "novakjan_LATE_123")
    assert (found["7"].late, found["7"].attempt, found["7"].members[0].name) == (False, None, "lovelaceada")
    assert found["anon_Ab3dE"].members == (Claim("canvas", "anon_Ab3dE"),)
    assert contents(found["9"]) == {"text.py": "x = 1\n\ny = 2\n"}
    assert {delivery.topic for delivery in found.values()} == {"ppo"}


GRADESCOPE = """---
submission_1:
  :submitters:
  - :name: Ada Lovelace
    :sid: '007'
    :email: ada@example.org
  :created_at: 2026-10-05 19:58:19.352440000 Z
  :score: 12.0
  :history: []
submission_2:
  :submitters:
  - :name: Jan Novák
    :email: jan@example.org
  - :name: Blaise Pascal
    :sid: '9'
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: &1 2026-10-05 20:00:00.000000000 Z
    zone: !ruby/object:ActiveSupport::TimeZone
      name: Etc/UTC
    time: *1
  :history:
  - :id: 5
    :created_at: 2026-10-04 20:00:00.000000000 Z
    :score: 1.0
submission_3:
  :submitters:
  - :name: Eva
"""


def test_gradescope_tells_members_times_and_attempts(export):
    files = {f"submission_{number}/ppo.py": f"x = {number}\n" for number in (1, 2, 4)}
    path = export({"submission_metadata.yml": GRADESCOPE} | files)
    assert system(path) == "gradescope"
    found = told(deliveries(path, topics=TOPICS))
    ada, pair = found["ada@example.org"], found["jan@example.org+9"]
    assert ada.members == (Claim("gradescope", "ada@example.org", "Ada Lovelace", "ada@example.org", "007"),)
    assert (ada.submitted_at, ada.attempt, ada.team) == (datetime.datetime(2026, 10, 5, 19, 58, 19, tzinfo=UTC), 1, None)
    assert (pair.submitted_at, pair.attempt, pair.team) == (datetime.datetime(2026, 10, 5, 20, tzinfo=UTC), 2, "submission_2")
    assert contents(found["submission_4"]) == {"ppo.py": "x = 4\n"}, "without metadata it is kept"
    assert found["submission_3"].problem == "there is no ppo.py or ppo.ipynb: hand it in"


def test_the_folder_above_exports_of_gradescope_is_no_student(tmp_path):
    for number in (1, 2):
        laid(tmp_path / f"hw{number}", {"submission_metadata.yml": GRADESCOPE, "submission_1/ppo.py": f"x = {number}\n"})
    laid(tmp_path / "hw3", {"submission_metadata.yml": GRADESCOPE, "submission_1/trpo.py": CODE})
    found = collect([tmp_path / "hw2", tmp_path / "hw3"], TOPICS)
    assert [(one.student, one.topic) for one in found if one.files] == [("Ada Lovelace", "ppo"), ("Ada Lovelace", "trpo")]
    assert {delivery.members[0].name for delivery in deliveries(tmp_path, topics=TOPICS) if delivery.files} == {"Ada Lovelace"}


def test_a_students_own_metadata_changes_nobodys_name(tmp_path):
    forged = "submission_9:\n  :submitters:\n  - :name: Ada\n    :email: ada@example.org\n"
    laid(tmp_path, {"mallory/submission_metadata.yml": forged, "mallory/submission_9/ppo.py": CODE, "ada/ppo.py": CODE, "eva/ppo.py": CODE})
    assert system(tmp_path) == "folders"
    assert set(told(deliveries(tmp_path, topics=TOPICS))) == {"ada", "eva", "mallory"}


def laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    return "\n".join([*lines, "submission_1:", "  :submitters: *a39", "  :history: *a39", "  <<: [*a39, *a39]", "submission_2: *a39"])


@pytest.mark.parametrize(
    "metadata",
    [
        laughs(),
        "submission_1: 7\nsubmission_2: null\n",
        "submission_1: [1, 2]\n? [complex, key]\n: value\n",
        "submission_1:\n  :submitters: {a: b}\n  :created_at: [1]\n  :history: x\n",
        "submission_1:\n  :submitters: [7, {':name': [1], ':email': {}}]\n  :created_at: 99999-99-99\n",
        "submission_1: &me {':submitters': [*me], ':created_at': {utc: *me}}\n",
        "submission_1: !!python/object/apply:os.system ['touch /tmp/npfl139-was-here']\n",
        f"submission_1:\n  :submitters:\n  - :name: {'x' * 10_000}\n",
    ],
)
def test_strange_metadata_leaves_the_submissions(tmp_path, metadata):
    laid(tmp_path, {"submission_metadata.yml": metadata} | {f"submission_{number}/ppo.py": CODE for number in (1, 2)})
    found = told(deliveries(tmp_path, topics=TOPICS))
    assert len([one for one in found.values() if one.files]) == 2
    assert all(len(one.members) <= 50 for one in found.values())
    assert not Path("/tmp/npfl139-was-here").exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("a: [", r"submission_metadata.yml is not YAML in line [12]: export it from Gradescope once more"),
        ("- submission_1\n", "does not say whose submissions these are"),
        ("", "does not say whose"),
        ("a: *b\n", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        ("a: " + "[" * 60 + "]" * 60, "is nested more than 50 levels deep"),
        ("[" * 100_000, "is nested more than 50 levels deep|is not YAML"),
    ],
)
def test_metadata_that_cannot_be_read_is_a_sentence(tmp_path, metadata, message):
    laid(tmp_path, {"submission_metadata.yml": metadata, "submission_1/ppo.py": CODE})
    with pytest.raises(NoSubmission, match=message):
        deliveries(tmp_path, topics=TOPICS)


def test_huge_metadata_is_not_read(tmp_path, monkeypatch):
    laid(tmp_path, {"submission_1/ppo.py": CODE})
    with open(tmp_path / "submission_metadata.yml", "wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(NoSubmission, match=r"submission_metadata.yml has more than 64 MiB: export it"):
        deliveries(tmp_path, topics=TOPICS)


def test_metadata_in_an_archive_that_is_a_bomb_or_a_link(tmp_path, monkeypatch):
    monkeypatch.setattr(gradescope, "MAX_METADATA", 2**20)
    laid(tmp_path, {"bomb.zip": zipped({"submission_metadata.yml": b"\0" * 2**22, "submission_1/ppo.py": CODE})})
    with pytest.raises(NoSubmission, match="has more than 1 MiB"):
        deliveries(tmp_path / "bomb.zip", topics=TOPICS)
    laid(tmp_path / "link", {"submission_1/ppo.py": CODE})
    (tmp_path / "link" / "submission_metadata.yml").symlink_to("/dev/zero")
    with pytest.raises(NoSubmission, match=r"submission_metadata.yml cannot be read: .*: export"):
        deliveries(tmp_path / "link", topics=TOPICS)
    (tmp_path / "link" / "submission_metadata.yml").unlink()
    os.mkfifo(tmp_path / "link" / "submission_metadata.yml")
    with pytest.raises(NoSubmission, match="is not an ordinary file"):
        deliveries(tmp_path / "link", topics=TOPICS)


NBGRADER = {
    "submitted/ada/ps1/ppo.ipynb": "{}",
    "submitted/ada/ps1/timestamp.txt": "2026-10-05 15:58:23.948203 Europe/Prague",
    "submitted/ada/trpo/anything.ipynb": "{}",
    "submitted/blaise/ps1/ppo.ipynb": "{ }",
    "submitted/blaise/ps1/timestamp.txt": "2026-10-05 15:58:23.948203 UTC",
}


@pytest.mark.parametrize("beside", [{}, {"source/ps1/ppo.ipynb": "[]", "nbgrader_config.py": "", "autograded/ada/ps1/ppo.ipynb": "[1]"}])
def test_nbgrader_tells_times_and_assignments(export, beside):
    path = export(NBGRADER | beside)
    assert system(path) == "nbgrader"
    found = {(one.members[0].key, one.topic): one for one in deliveries(path, topics=TOPICS)}
    assert set(found) == {("ada", "ppo"), ("ada", "trpo"), ("blaise", "ppo")}
    assert found["ada", "ppo"].submitted_at == datetime.datetime(2026, 10, 5, 13, 58, 23, tzinfo=UTC)
    assert (found["ada", "trpo"].submitted_at, found["ada", "trpo"].time_source) == (None, "unknown")
    assert [(one.student, one.topic) for one in collect([path], TOPICS)] == [("ada", "trpo"), ("ada", "ppo"), ("blaise", "ppo")]


def test_a_timestamp_that_says_nothing(tmp_path):
    for number, text in enumerate(("yesterday", "2026-10-05 10:00:00 ../../etc/passwd", "0001-01-01 00:00 Z", "9" * 10_000, b"\xff", "")):
        laid(tmp_path, {f"submitted/s{number}/ps1/ppo.py": CODE, f"submitted/s{number}/ps1/timestamp.txt": text})
    found = deliveries(tmp_path, topics=TOPICS)
    assert len(found) == 6 and all(one.files and one.submitted_at is None for one in found)


def git(folder: Path, *arguments: str, date: str = "2026-10-01T12:00:00Z") -> str:
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, **who}
    return subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def cloned(folder: Path, *commits: tuple[str, dict[str, str | bytes]]) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for date, files in commits:
        laid(folder, files)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "--allow-empty", "-m", "x", date=date)
    return folder


EARLY, LATE = "2026-10-01T12:00:00Z", "2026-10-09T12:00:00Z"
DEADLINE = datetime.datetime(2026, 10, 5, tzinfo=UTC)


def test_github_only_commits_before_the_deadline_count(tmp_path):
    anna = cloned(tmp_path / "ppo-anna-li", (EARLY, {"ppo.py": "x = 1\n"}), (LATE, {"ppo.py": "x = 2\n"}))
    cloned(tmp_path / "ppo-bob", (LATE, {"ppo.py": "x = 3\n"}))
    cloned(tmp_path / "ppo-eva")
    laid(anna, {"ppo.py": "x = 'not committed'\n"})
    git(anna, "pack-refs", "--all")
    git(anna, "gc", "-q")
    assert system(tmp_path) == "github"
    found = told(deliveries(tmp_path, topics=TOPICS, deadlines=[DEADLINE]))
    assert contents(found["anna-li"]) == {"ppo.py": "x = 1\n"} and found["anna-li"].members == (Claim("github", "anna-li"),)
    assert (found["anna-li"].submitted_at, found["anna-li"].time_source) == (datetime.datetime(2026, 10, 1, 12, tzinfo=UTC), "commit")
    assert found["bob"].problem == "nothing was committed until 2026-10-05 00:00 UTC: commit and push your work"
    assert found["eva"].problem == found["bob"].problem
    assert contents(told(deliveries(tmp_path, topics=TOPICS))["anna-li"]) == {"ppo.py": "x = 2\n"}
    assert [(one.student, one.topic, bool(one.files)) for one in collect([tmp_path], TOPICS)] == [
        ("anna-li", "ppo", True),
        ("bob", "ppo", True),
        ("eva", "ppo", False),
    ]


@pytest.mark.parametrize(
    ("above", "names", "keys"),
    [
        ("week-3-submissions", ("week-3-anna-li", "week-3-anna-lo"), {"anna-li", "anna-lo"}),
        ("all", ("week-3-anna", "week-3-bob"), {"anna", "bob"}),
        ("all", ("anna",), {"anna"}),
    ],
)
def test_a_login_is_the_name_of_the_repository_without_that_of_the_assignment(tmp_path, above, names, keys):
    for name in names:
        cloned(tmp_path / above / name, (EARLY, {"ppo.py": CODE}))
    assert set(told(deliveries(tmp_path / above, "github", topics=TOPICS))) == keys


def test_a_repository_runs_nothing_and_reads_nothing_of_others(tmp_path):
    marker = tmp_path / "ran"
    evil = cloned(tmp_path / "class" / "ppo-evil", (EARLY, {"ppo.py": "x = 1\n", ".gitattributes": "*.py filter=evil diff=evil text\n"}))
    command = f"touch {marker}"
    for name in ("core.fsmonitor", "core.sshCommand", "core.pager", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv"):
        git(evil, "config", name, command)
    git(evil, "config", "core.alternateRefsCommand", command)
    git(evil, "config", "gpg.program", command)
    git(evil, "config", "log.showSignature", "true")
    git(evil, "config", "include.path", str(marker))
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        path = evil / ".git" / "hooks" / hook
        laid(evil, {f".git/hooks/{hook}": f"#!/bin/sh\n{command}\n"})
        path.chmod(0o755)
    (found,) = deliveries(tmp_path / "class", "github", topics=TOPICS, deadlines=[DEADLINE])
    assert contents(found) == {"ppo.py": "x = 1\n"} and not marker.exists()


def borrowed(repository: Path, other: Path) -> None:
    laid(repository, {".git/objects/info/alternates": f"{other}/.git/objects\n"})


def linked(repository: Path, other: Path) -> None:
    (repository / ".git" / "objects" / "ff").symlink_to(other / ".git" / "objects")


def a_pointer(repository: Path, other: Path) -> None:
    (repository / ".git").rename(repository / "elsewhere")
    laid(repository, {".git": f"gitdir: {other}/.git\n"})


def without_objects(repository: Path, other: Path) -> None:
    (repository / ".git" / "objects").rename(repository / ".git" / "lost")


def a_head_that_leads_out(repository: Path, other: Path) -> None:
    laid(repository, {".git/HEAD": "ref: refs/../../../secret\n"})


def a_head_that_never_ends(repository: Path, other: Path) -> None:
    (repository / ".git" / "HEAD").unlink()
    os.mkfifo(repository / ".git" / "HEAD")


def a_lost_commit(repository: Path, other: Path) -> None:
    laid(repository, {".git/refs/heads/main": "1" * 40 + "\n"})


def an_option(repository: Path, other: Path) -> None:
    laid(repository, {".git/refs/heads/main": "--output=/tmp/npfl139-was-here\n"})


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (borrowed, "the repository takes its history from elsewhere: clone it once more"),
        (linked, "the repository takes its history from elsewhere: clone it once more"),
        (a_pointer, "the repository is not complete: clone it once more"),
        (without_objects, "the repository is not complete: clone it once more"),
        (a_head_that_leads_out, "nothing was committed: commit and push your work"),
        (a_head_that_never_ends, "the repository is damaged: clone it once more"),
        (a_lost_commit, "the repository is damaged or too large: clone it once more, and commit the assignment only"),
        (an_option, "nothing was committed: commit and push your work"),
    ],
)
def test_a_harmful_repository_is_a_problem_of_its_student_only(tmp_path, harm, problem):
    adam = cloned(tmp_path / "class" / "ppo-adam", (EARLY, {"ppo.py": CODE}))
    harm(cloned(tmp_path / "class" / "ppo-mallory", (EARLY, {"ppo.py": CODE})), adam)
    found = told(deliveries(tmp_path / "class", topics=TOPICS))
    assert contents(found["adam"]) == {"ppo.py": CODE}
    assert (found["mallory"].problem, found["mallory"].files) == (problem, ())
    assert not Path("/tmp/npfl139-was-here").exists()


def test_what_a_commit_may_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("grader.intake.github.MAX_BYTES", 1000)
    mallory = cloned(tmp_path / "class" / "ppo-mallory")
    (mallory / "ppo.py").symlink_to("/etc/passwd")
    git(mallory, "add", "-A")
    git(mallory, "commit", "-q", "-m", "x")
    cloned(tmp_path / "class" / "ppo-huge", (EARLY, {"ppo.py": "#" * 1001, "a/b/other.py": CODE, ".hidden/ppo.py": "x = 1"}))
    cloned(tmp_path / "class" / "ppo-many", (EARLY, {f"{number}.py": "" for number in range(51)} | {"ppo.py": CODE}))
    found = told(deliveries(tmp_path / "class", topics=TOPICS))
    assert found["mallory"].problem == "ppo.py is a symbolic link: hand in the file itself"
    assert "ppo.py has more than" in found["huge"].problem
    assert found["many"].problem == "this holds too much: hand in the assignment only"


def test_a_repository_with_too_long_a_list_or_too_many_objects(tmp_path, monkeypatch):
    cloned(tmp_path / "ppo-ada", (EARLY, {"ppo.py": CODE}))
    monkeypatch.setattr(repositories, "MAX_LISTED", 20)
    expected = "the repository holds too much: commit the assignment only"
    assert deliveries(tmp_path, "github", topics=TOPICS)[0].problem == expected
    monkeypatch.setattr(repositories, "MAX_OBJECTS", 2)
    assert deliveries(tmp_path, "github", topics=TOPICS)[0].problem == expected


def test_a_bomb_of_folders_and_an_endless_history_are_not_followed(tmp_path, monkeypatch):
    bomb = cloned(tmp_path / "ppo-bomb", (EARLY, {"ppo.py": CODE}))
    tree = git(bomb, "rev-parse", "HEAD^{tree}").strip()
    for _ in range(9):  # ten times ten times ten …
        lines = "".join(f"040000 tree {tree}\t{number}\n" for number in range(10))
        tree = subprocess.run(["git", "mktree"], cwd=bomb, input=lines, capture_output=True, text=True, check=True).stdout.strip()
    laid(bomb, {".git/refs/heads/main": git(bomb, "commit-tree", tree, "-m", "x")})
    cloned(tmp_path / "ppo-long", *((LATE, {"ppo.py": f"x = {number}\n"}) for number in range(4)))
    monkeypatch.setattr(repositories, "MAX_COMMITS", 3)
    found = told(deliveries(tmp_path, "github", topics=TOPICS, deadlines=[DEADLINE]))
    expected = "the repository holds too much: commit the assignment only"
    assert (found["bomb"].problem, found["long"].problem) == (expected, expected)


@pytest.mark.parametrize("change", [("committer", "comitter"), ("tree ", "tree 1")])
def test_a_commit_as_git_writes_none(tmp_path, change):
    odd = cloned(tmp_path / "ppo-odd", (EARLY, {"ppo.py": CODE}))
    commit = git(odd, "cat-file", "commit", "HEAD").replace(*change).encode()
    written = ["git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"]
    laid(odd, {".git/refs/heads/main": subprocess.run(written, cwd=odd, input=commit, capture_output=True, check=True).stdout})
    (found,) = deliveries(tmp_path, "github", topics=TOPICS)
    assert (found.problem or "").startswith("the repository is damaged")


def test_a_repository_that_nobody_may_read(tmp_path, monkeypatch):
    cloned(tmp_path / "ppo-ada", (EARLY, {"ppo.py": CODE}))
    scandir = os.scandir

    def refused(path):
        if str(path).endswith("objects"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(repositories.os, "scandir", refused)
    (ada,) = deliveries(tmp_path, "github", topics=TOPICS)
    assert ada.problem == "the repository cannot be read (Permission denied): clone it once more"


def test_repositories_in_an_archive_or_without_git_are_the_instructors_to_solve(tmp_path, monkeypatch):
    laid(tmp_path, {"all.zip": zipped({"ppo-ada/.git/HEAD": "ref: refs/heads/main", "ppo-ada/ppo.py": CODE})})
    with pytest.raises(NoSubmission, match=r"all.zip holds repositories of git, whose dates cannot be read in an archive: unpack it first"):
        deliveries(tmp_path / "all.zip", "github", topics=TOPICS)
    cloned(tmp_path / "class" / "ppo-ada", (EARLY, {"ppo.py": CODE}))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NoSubmission, match="git, which reads them, is not installed"):
        deliveries(tmp_path / "class", "github", topics=TOPICS)


def test_the_only_repository_in_a_folder_is_somebodys_own_work(tmp_path):
    cloned(tmp_path / "work" / "mine", (EARLY, {"ppo.py": "x = 1\n"}))
    laid(tmp_path, {"work/mine/ppo.py": "x = 'not committed'\n"})
    assert system(tmp_path / "work") == "folders"
    (tmp_path / "work").rename(tmp_path / "ppo-submissions")
    assert system(tmp_path / "ppo-submissions") == "github"


def test_a_students_own_repository_in_a_class_of_folders_is_only_a_folder(tmp_path):
    cloned(tmp_path / "ada", (EARLY, {"ppo.py": "x = 1\n"}))
    laid(tmp_path, {"blaise/ppo.py": CODE, "ada/ppo.py": "x = 2\n"})
    assert system(tmp_path) == "folders"
    assert contents(told(deliveries(tmp_path, topics=TOPICS))["ada"]) == {"ppo.py": "x = 2\n"}


def test_without_an_assignment_what_names_no_topic_has_none(tmp_path):
    laid(tmp_path, {"ada/ppo.py": CODE, "ada/trpo.py": CODE, "blaise/homework.py": CODE, "carl/readme.txt": ""})
    found = {(one.members[0].key, one.topic): one for one in deliveries(tmp_path, topics=TOPICS)}
    assert set(found) == {("ada", "ppo"), ("ada", "trpo"), ("blaise", None), ("carl", None)}
    assert contents(found["blaise", None]) == {"homework.py": CODE}
    assert found["carl", None].problem == "there is no .py and no .ipynb file: hand in one"
    asked = told(deliveries(tmp_path, topics=TOPICS, assignment="ppo"))
    assert (asked["blaise"].topic, asked["ada"].topic) == ("ppo", "ppo") and asked["carl"].problem.startswith("there is no ppo.py")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gradescope", "there is no submission_metadata.yml, which Gradescope puts beside the submissions"),
        ("github", "there is no folder in which each student has a repository of git: clone them first"),
        ("nbgrader", "there is no folder <student>/<assignment>/ with a timestamp.txt: name nbgrader's submitted/"),
        ("blackboard", "there is no adapter 'blackboard'; there are auto, gradescope, github, nbgrader, moodle, canvas, folders"),
    ],
)
def test_a_system_that_the_instructor_names_but_that_it_is_not(tmp_path, name, message):
    with pytest.raises(NoSubmission, match=message):
        deliveries(laid(tmp_path, {"ppo.py": CODE}), name, topics=TOPICS)


def test_why_it_was_taken_for_a_system_is_said(tmp_path):
    laid(tmp_path, {"novakjan_1_2_ppo.py": CODE})
    recognition = adapters.recognized(Export(tmp_path, TOPICS))
    assert (recognition.system, recognition.why) == ("canvas", "1 of 1 names in it are as novakjan_1_2_ppo.py")
    told: list[str] = []
    collect([tmp_path], TOPICS, None, told.append)
    assert told == [f"{tmp_path}: taken for canvas, since 1 of 1 names in it are as novakjan_1_2_ppo.py"]
    collect([laid(tmp_path / "plain", {"ada/ppo.py": CODE})], TOPICS, None, told.append)
    assert len(told) == 1, "nothing is said of plain folders"


def test_names_of_ten_thousand_characters_and_paths_that_lead_out(tmp_path):
    files = {f"{'x' * 10_000}_1_2_ppo.py": CODE, "../novakjan_3_4_ppo.py": CODE, "adam_5_6_ppo.py": CODE, "/eve_7_8_ppo.py": CODE}
    laid(tmp_path, {"all.zip": zipped(files)})
    found = told(deliveries(tmp_path / "all.zip", topics=TOPICS))
    assert contents(found["5"]) == {"ppo.py": CODE} and contents(found["1"]) == {"ppo.py": CODE}
    assert "leads out of the archive" in found["3"].problem and "leads out of the archive" in found["7"].problem
    assert all(len(one.student) < 130 and len(one.filename) < 300 for one in collect([tmp_path / "all.zip"], TOPICS))


@pytest.mark.parametrize("part", ["<", "<!--", "<!", "<a ", "<a a='", "<?", "</", "&", "<script>", "<![CDATA[", "<pre>", "\n", "&#"])
def test_html_that_a_parser_takes_long_for_is_read(part):
    words.text_of(part * 100_000)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>\r\n<ul><li>c</li><li>d</li></ul>e", "a\nb\nc\nd\ne\n"),
        ("<style>p { }</style><!-- <p>no</p> -->if a &lt; b &amp; c:<br />&nbsp; return <b>x</b>\n  y", "if a < b & c:\n  return x y\n"),
        ("<pre>for i in x:\n    i\n</pre>done</script>", "for i in x:\n    i\ndone\n"),
        ("a < b", "a < b\n"),
    ],
)
def test_what_somebody_typed_is_the_text_that_a_browser_shows(html, text):
    assert words.text_of(html) == text


def test_too_long_a_text_and_a_worksheet_that_is_none(tmp_path):
    text = {"Eva_6_assignsubmission_onlinetext_/onlinetext.html": "x" * (2**20 + 1), "Ada_7_assignsubmission_file_/ppo.py": CODE}
    laid(tmp_path, text | {"Grades.csv": b"Identifier,\xff\n" + b"x" * 200_000, "other.csv": "a,b\n", "wrong.csv": "Identifier\n7,8,9\n"})
    with open(tmp_path / "huge.csv", "wb") as stream:
        stream.truncate(2**30)
    told_of = []
    found = told(deliveries(tmp_path, topics=TOPICS, notice=told_of.append))
    assert len(told_of) == 3 and f"{tmp_path / 'huge.csv'} has more than 16 MiB: nothing is taken from it" in told_of
    assert found["6"].problem == "the text has more than 1 MiB: hand in a file" and contents(found["7"]) == {"ppo.py": CODE}


def test_names_that_take_a_pattern_long(tmp_path):
    for name in ("_1" * 5_000, "a_" + "1" * 10_000, "_assignsubmission_" * 500, "a-1" * 3_000):
        assert canvas.PACKED.fullmatch(name) is None and moodle.PACKED.fullmatch(name) is None


@pytest.fixture
def another(monkeypatch):
    """An adapter that another package brings."""
    module = ModuleType("another_adapter")
    module.PRIORITY = 1
    module.recognized = lambda export: "it says blackboard" if "blackboard" in str(export.path) else None
    module.parcels = lambda export: []
    monkeypatch.setitem(sys.modules, "another_adapter", module)
    real = brought.entry_points

    def register(*values):
        points = [EntryPoint("blackboard", value, adapters.GROUP) for value in values]
        monkeypatch.setattr(brought, "entry_points", lambda group: [*real(group=group), *points])
        brought.brought.cache_clear()

    yield register
    monkeypatch.undo()
    brought.brought.cache_clear()


def test_an_adapter_of_another_package(tmp_path, another):
    another("another_adapter")
    assert adapters.systems()[0] == "blackboard" and adapters.systems()[-1] == "folders"
    assert system(laid(tmp_path, {"blackboard/ppo.py": CODE}) / "blackboard") == "blackboard"
    assert deliveries(tmp_path / "blackboard", topics=TOPICS) == []


def test_a_broken_adapter_or_two_of_one_name_are_sentences(tmp_path, another):
    another("nowhere_at_all")
    with pytest.raises(NoSubmission, match="the adapter 'blackboard' cannot be loaded from nowhere_at_all: install or uninstall it"):
        deliveries(laid(tmp_path, {"ppo.py": CODE}), topics=TOPICS)
    another("one", "two")
    with pytest.raises(ValueError, match="two packages bring the adapter 'blackboard', one and two: uninstall one of them"):
        adapters.systems()


@pytest.mark.parametrize(
    "layout",
    [
        "{student}/ppo.py",
        "class/{student}/ppo.py",
        "submitted/{student}/ppo/ppo.py",
        "ppo/{student}/ppo.py",
        "all/week 6 - ppo/anna{student}_{student}_{student}_ppo.py",
        "assignment_6_export/submission_{student}/ppo.py",
    ],
)
def test_however_large_a_class_is_each_student_may_hand_in_as_much(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(archives.Budget, "of_student", lambda: archives.Budget(files=2, unpacked_bytes=10_000, may_nest=False))
    students = [str(number) for number in range(100, 105)]
    laid(tmp_path, {layout.format(student=student): CODE for student in students})
    others = {"ppo": "trpo/{student}/trpo.py", "assignment_6_export": "assignment_7_export/submission_{student}/trpo.py"}
    if other := others.get(layout.partition("/")[0]):
        laid(tmp_path, {other.format(student=student): CODE for student in students})
    if layout.startswith("submitted"):
        laid(tmp_path, {"nbgrader_config.py": "c = 1"})
    read = list(archives.files_in(tmp_path, TOPICS))
    assert {file.problem for file in read} == {None} and len(read) >= 5
    own = tmp_path / layout.format(student=students[0])
    if own.parent.name != "week 6 - ppo":  # in which nobody has a folder
        laid(own.parent, {f"a{number}/b.py": CODE for number in range(3)})
        refused = [file for file in archives.files_in(tmp_path, TOPICS) if file.problem]
        assert {file.problem for file in refused} == {"this holds too much: hand in the assignment only"}
        assert {students[0] in "/".join(file.parts) for file in refused} == {True}
