"""Layouts, names and traps in what a class hands in. Nothing of it is executed, and nothing of it stops the class."""

import io
import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from grader.classroom.intake import NoSubmission
from grader.classroom.intake import collect as handed_in
from grader.intake import archives
from grader.records import Submission
from npfl139 import source
from npfl139.source import Unreadable, read_one

TOPICS = ("newton_fisher", "trpo", "ppo", "agent57")
CODE = "def clipped_surrogate():\n    return 1\n"
NOTEBOOK = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": CODE}]})


def collect(*arguments) -> list[Submission]:
    """Return what was handed in, read in this process."""
    return [read_here(each.submission()) for each in handed_in(*arguments)]


def read_here(submission: Submission) -> Submission:
    if not submission.unread:
        return submission
    try:
        filename, found = read_one(submission.unread)
    except Unreadable as error:
        return replace(submission, unread=(), problem=str(error))
    return replace(submission, unread=(), source=found.text, filename=filename, cells=found.cells)


def folder(root: Path, *names: str, content: str = CODE) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NOTEBOOK if name.endswith(".ipynb") else content)
    return root


def zipped(members: dict[str | zipfile.ZipInfo, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def placed(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(submissions: list[Submission]) -> list[tuple[str, str]]:
    assert all(submission.problem is None and submission.source for submission in submissions)
    return [(submission.student, submission.topic) for submission in submissions]


def only(submissions: list[Submission]) -> Submission:
    assert len(submissions) == 1
    return submissions[0]


def test_a_class_of_folders_in_the_order_of_their_names(tmp_path):
    root = folder(tmp_path, "novak/ppo.py", "Adam/ppo.ipynb", "adam/trpo.py", "novak/trpo.py")
    assert found(collect([root], TOPICS)) == [("Adam", "ppo"), ("adam", "trpo"), ("novak", "trpo"), ("novak", "ppo")]


@pytest.mark.parametrize(
    ("name", "student", "topic"),
    [
        ("ppo_novak.py", "novak", "ppo"),
        ("novak-PPO.py", "novak", "ppo"),
        ("Jan Novák trpo.ipynb", "Jan Novák", "trpo"),
        ("agent57_novak.py", "novak", "agent57"),
        ("newton-fisher_novak.py", "novak", "newton_fisher"),
        ("NewtonFisher novak.py", "novak", "newton_fisher"),
        ("novakjan_LATE_123_456_ppo-1.py", "novakjan_123", "ppo"),
        ("Jan Novák_12345_assignsubmission_file_ppo.py", "Jan Novák_12345", "ppo"),
        ("Jan Novák_12345_assignsubmission_file_/ppo.py", "Jan Novák_12345", "ppo"),
        ("Jan Novák_12345_assignsubmission_file/homework/ppo.py", "Jan Novák_12345", "ppo"),
        ("ppo.py", "class", "ppo"),
        ("ppo (1).py", "(1)", "ppo"),
    ],
)
def test_student_and_topic_are_told_from_the_path(tmp_path, name, student, topic):
    assert found(collect([folder(tmp_path / "class", name)], TOPICS)) == [(student, topic)]
    archive = placed(tmp_path / "class.zip", zipped({name: NOTEBOOK if name.endswith(".ipynb") else CODE}))
    assert found(collect([archive], TOPICS)) == [(student, topic)]


def test_one_file_is_its_folders_or_its_own_names(tmp_path):
    root = folder(tmp_path / "novak", "ppo.py", "ppo_svoboda.py", "homework.py")
    assert found(collect([root / "ppo.py"], TOPICS)) == [("novak", "ppo")]
    assert found(collect([root / "ppo_svoboda.py"], TOPICS)) == [("svoboda", "ppo")]
    assert found(collect([root / "homework.py"], TOPICS, "trpo")) == [("homework", "trpo")]
    assert found(collect([root / "ppo.py"], TOPICS, "trpo")) == [("novak", "trpo")]


def test_archives_of_students_in_a_class(tmp_path):
    placed(tmp_path / "novak" / "homework.zip", zipped({"homework/ppo.py": CODE, "__MACOSX/homework/._ppo.py": "", ".DS_Store": ""}))
    placed(tmp_path / "svoboda.zip", zipped({"ppo.py": CODE}))
    placed(tmp_path / "ppo_cerny.zip", zipped({"a/b/c/ppo.py": CODE}))
    assert sorted(found(collect([tmp_path], TOPICS))) == [("cerny", "ppo"), ("novak", "ppo"), ("svoboda", "ppo")]


def test_an_archive_of_archives_as_moodle_packs_it(tmp_path):
    inner = zipped({"ppo.ipynb": NOTEBOOK})
    members = {"A B_1_assignsubmission_file_/x.zip": inner, "A B_2_assignsubmission_file_/ppo.zip": inner}
    archive = placed(tmp_path / "all.zip", zipped(members))
    assert found(collect([archive], TOPICS)) == [("A B_1", "ppo"), ("A B_2", "ppo")]


def test_the_folder_that_wraps_a_class_in_an_archive_is_not_a_student(tmp_path):
    archive = placed(tmp_path / "class.zip", zipped({"class/novak/ppo.py": CODE, "class/svoboda/ppo.py": CODE}))
    assert found(collect([archive], TOPICS)) == [("novak", "ppo"), ("svoboda", "ppo")]


@pytest.mark.parametrize(
    "names",
    [
        ("export/submission_1/ppo.py", "export/submission_2/ppo.py"),
        ("a/b/export/submission_1/ppo.py", "a/b/export/submission_2/homework/ppo.py"),
        ("submitted/submission_1/ps1/ppo.ipynb", "submitted/submission_2/ps1/ppo.ipynb"),
        ("submitted/submission_1/ps1/ppo.ipynb", "submitted/submission_2/ps1/ppo.ipynb", "source/ps1/ppo.ipynb", "nbgrader_config.py"),
    ],
)
def test_the_folder_above_a_class_is_not_a_student(tmp_path, names):
    students = [("submission_1", "ppo"), ("submission_2", "ppo")]
    root = folder(tmp_path / "course", *names)
    assert found(collect([root], TOPICS)) == students
    archive = placed(tmp_path / "course.zip", zipped({name: (root / name).read_bytes() for name in names}))
    assert found(collect([archive], TOPICS)) == students


def test_in_the_folder_above_a_class_an_empty_folder_is_a_student_too(tmp_path):
    root = folder(tmp_path, "export/novak/ppo.py", "export/svoboda/ppo.py")
    (root / "export" / "adam").mkdir()
    assert [submission.student for submission in collect([root], TOPICS)] == ["adam", "novak", "svoboda"]


def test_folders_of_one_student_called_by_their_topics_are_no_students(tmp_path):
    assert found(collect([folder(tmp_path, "novak/ppo/ppo.py", "novak/trpo/trpo.py")], TOPICS)) == [("novak", "trpo"), ("novak", "ppo")]


def test_a_student_with_more_folders_than_there_are_others_stops_nobody(tmp_path):
    versions = {f"mallory/version {number}/ppo.py": f"x = {number}\n" for number in range(9)}
    root = folder(tmp_path, "ada/ppo.py", "eva/ppo.py", *versions)
    for name, content in versions.items():
        (root / name).write_text(content)
    ada, eva, mallory = collect([root], TOPICS)
    assert (ada.problem, eva.problem) == (None, None)
    assert mallory.problem and mallory.problem.endswith("they differ: hand in one of them only")


@pytest.mark.parametrize("topic", [None, "ppo"])
def test_a_class_among_other_folders_is_refused_as_a_student(tmp_path, topic):
    root = folder(tmp_path, *(f"export/{name}/ppo.py" for name in ("ada", "blaise", "carl")), "notes/hints.py")
    message = r"export would be a student with ppo in 3 folders \(ada, blaise, carl\), as if .* of different people: name the folder in"
    with pytest.raises(NoSubmission, match=message):
        collect([root], TOPICS, topic)


def test_older_versions_in_folders_are_a_problem_of_that_student_only(tmp_path):
    root = folder(tmp_path, "adam/ppo.py", "svoboda/ppo.py", "novak/old/ppo.py")
    folder(root, "novak/new/ppo.py", content="x = 2\n")
    adam, novak, svoboda = collect([root], TOPICS)
    assert found([adam, svoboda]) == [("adam", "ppo"), ("svoboda", "ppo")]
    assert novak.problem == "ppo.py and ppo.py were handed in, and they differ: hand in one of them only"


def test_a_submission_holds_the_source_its_hash_and_its_place(tmp_path):
    first, second = collect([folder(tmp_path, "a/ppo.py", "b/ppo.ipynb")], TOPICS)
    assert first.source == second.source == CODE
    assert (first.filename, second.filename) == ("a/ppo.py", "b/ppo.ipynb")
    assert first.sha256 != second.sha256 and len(first.sha256) == 64
    assert (first.locate(2), second.locate(2)) == ("line 2", "cell 1, line 2")


def test_with_a_topic_the_others_are_left_out(tmp_path):
    root = folder(tmp_path, "novak/ppo.py", "novak/trpo.py")
    assert found(collect([root], TOPICS, "trpo")) == [("novak", "trpo")]


def test_the_only_file_of_a_student_is_for_the_only_topic_of_the_class(tmp_path):
    root = folder(tmp_path, "novak/ppo.py", "novak/helper.py", "svoboda/homework.py")
    assert found(collect([root], TOPICS)) == [("novak", "ppo"), ("svoboda", "ppo")]


def test_what_does_not_name_its_topic_is_a_problem_of_that_student_only(tmp_path):
    novak, svoboda = collect([folder(tmp_path, "novak/ppo.py", "svoboda/a.py", "svoboda/b.py")], TOPICS)
    assert novak.problem is None
    assert svoboda.problem == "there is no ppo.py or ppo.ipynb, only a.py and b.py: call the one to be graded so"


def test_an_empty_folder_is_a_student_who_handed_in_nothing(tmp_path):
    root = folder(tmp_path, "novak/ppo.py", ".git/x.py")
    (root / "svoboda").mkdir()
    novak, svoboda = collect([root], TOPICS)
    assert (svoboda.student, svoboda.topic, svoboda.source) == ("svoboda", "ppo", None)
    assert svoboda.problem == "there is no ppo.py or ppo.ipynb: hand it in"


def test_a_folder_next_to_a_students_files_is_not_a_student(tmp_path):
    root = folder(tmp_path / "novak", "ppo.py")
    (root / "runs").mkdir()
    assert found(collect([root], TOPICS)) == [("novak", "ppo")]


def test_a_notebook_and_the_same_program_are_one_submission(tmp_path):
    root = folder(tmp_path, "novak/ppo.ipynb")
    folder(tmp_path, "novak/ppo.py", content=f"# %%\n{CODE}\n\n# the end\n")
    assert only(collect([root], TOPICS)).filename == "novak/ppo.py"


def test_a_notebook_and_another_program_must_be_chosen_from(tmp_path):
    root = folder(tmp_path, "novak/ppo.ipynb")
    folder(tmp_path, "novak/ppo.py", content=CODE.replace("1", "2"))
    submission = only(collect([root], TOPICS))
    assert submission.source is None
    assert submission.problem == "ppo.ipynb and ppo.py were handed in, and they differ: hand in one of them only"


def test_the_file_named_exactly_as_the_topic_wins(tmp_path):
    root = folder(tmp_path, "novak/ppo.py")
    folder(tmp_path, "novak/old_ppo.py", content="x = 2\n")
    assert only(collect([root], TOPICS)).filename == "novak/ppo.py"


def test_namesakes_are_kept_apart(tmp_path):
    folder(tmp_path, "a/novak/ppo.py", "b/Novak/ppo.py", "b/Novak/trpo.py", "c/novak/ppo.py")
    submissions = collect([tmp_path / "a", tmp_path / "b", tmp_path / "c"], TOPICS)
    assert found(submissions) == [("novak", "ppo"), ("Novak (2)", "trpo"), ("Novak (2)", "ppo"), ("novak (3)", "ppo")]


def test_one_student_may_hand_in_topics_at_several_paths(tmp_path):
    root = folder(tmp_path / "novak", "ppo.py", "trpo.py")
    assert found(collect([root / "ppo.py", root / "trpo.py", root / "ppo.py"], TOPICS)) == [("novak", "ppo"), ("novak", "trpo")]


def test_names_are_safe_folders_and_stay_readable(tmp_path):
    names = ["Žofie 李 Ørsted", "nul", "x" * 200, "x" * 201, "a\x1b[31m", "a:b", "e\u0301", " "]
    submissions = collect([placed(tmp_path / "c.zip", zipped({f"{name}/ppo.py": CODE for name in names}))], TOPICS)
    students = {submission.student for submission in submissions}
    assert students == {"Žofie 李 Ørsted", "nul_", "x" * 120, "x" * 120 + " (2)", "a_[31m", "a_b", "é", "unnamed"}


@pytest.mark.parametrize("name", ["../novak/ppo.py", "/novak/ppo.py", "C:/novak/ppo.py", "..\\ppo.py", "a/../ppo.py", "\\\\host\\ppo.py"])
def test_a_path_that_leads_out_of_an_archive_is_refused_and_nothing_is_written(tmp_path, name):
    placed(tmp_path / "class" / "novak" / "x.zip", zipped({name: CODE}))
    before = sorted(tmp_path.rglob("*"))
    submission = only(collect([tmp_path / "class"], TOPICS))
    assert (submission.student, submission.source) == ("novak", None)
    assert "leads out of the archive: pack the file alone" in submission.problem
    assert sorted(tmp_path.rglob("*")) == before


def linked(name: str) -> bytes:
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped({member: "/etc/passwd"})


def with_other_compression() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("ppo.py", CODE)
    return stream.getvalue()


def encrypted() -> bytes:
    content = bytearray(zipped({"ppo.py": CODE}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    return bytes(content)


def damaged() -> bytes:
    content = bytearray(zipped({"ppo.py": CODE}))
    content[content.index(b"ppo.py") + 6] ^= 0xFF
    return bytes(content)


def lying() -> bytes:
    """Return an archive whose header claims one byte for a member that has more."""
    content = bytearray(zipped({"ppo.py": CODE}))
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, 1)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "broken or not a zip archive"),
        (b"PK\x03\x04 not really", "broken or not a zip archive"),
        (zipped({})[:10], "broken or not a zip archive"),
        (zipped({}), r"no \.py and no \.ipynb file in the archive"),
        (zipped({"readme.txt": "x", "__MACOSX/ppo.py": "", ".hidden/ppo.py": "", "folder.py/": ""}), r"no \.py and no \.ipynb"),
        (linked("ppo.py"), "symbolic link"),
        (encrypted(), "without a password"),
        (damaged(), "damaged in the archive"),
        (lying(), "damaged in the archive"),
        (with_other_compression(), "unusual way"),
        (zipped({"a.zip": zipped({"ppo.py": CODE})}), "an archive in an archive"),
        (zipped({"ppo.py": b"x = '\xe8'"}), "save it as UTF-8"),
        (zipped({"ppo.py": "def f(:"}), "Python cannot read the code in line 1"),
    ],
)
def test_a_broken_archive_is_explained_and_the_others_are_read(tmp_path, content, message):
    folder(tmp_path, "adam/ppo.py")
    placed(tmp_path / "novak" / "ppo.zip", content)
    adam, novak = collect([tmp_path], TOPICS)
    assert found([adam]) == [("adam", "ppo")]
    assert (novak.student, novak.source) == ("novak", None)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(novak.problem)


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    monkeypatch.setattr(source, "MAX_BYTES", 1000)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ppo.py": "#" * 1001}, "has more than"),
        ({f"{number}.py": "#" * 10 for number in range(51)} | {"ppo.py": CODE}, "this holds too much"),
        ({f"{number}.py": "#" * 990 for number in range(5)} | {"ppo.py": CODE}, "this holds too much"),
        ({"ppo.zip": "#" * 1001}, "an archive in an archive"),
    ],
)
def test_a_bomb_costs_only_its_own_student(tmp_path, members, message):
    bomb = zipped(members)
    assert len(bomb) < 10_000
    class_archive = zipped({"adam/ppo.py": CODE, "novak/ppo.zip": bomb, "zeta/ppo.py": CODE})
    placed(tmp_path / "class.zip", class_archive)
    if len(bomb) > archives.MAX_BYTES:
        message = "has more than"
    adam, novak, zeta = collect([tmp_path / "class.zip"], TOPICS)
    assert found([adam, zeta]) == [("adam", "ppo"), ("zeta", "ppo")]
    assert message in novak.problem


def test_traps_in_a_folder_are_refused_without_being_opened(tmp_path):
    secret = placed(tmp_path / "secret.py", b"grades = 1\n")
    folder(tmp_path / "class", "adam/ppo.py")
    for student in ("link", "pipe", "loop"):
        (tmp_path / "class" / student).mkdir()
    (tmp_path / "class" / "link" / "ppo.py").symlink_to(secret)
    (tmp_path / "class" / "loop" / "ppo").symlink_to(tmp_path / "class")
    os.mkfifo(tmp_path / "class" / "pipe" / "ppo.py")
    adam, link, loop, pipe = collect([tmp_path / "class"], TOPICS)
    assert found([adam]) == [("adam", "ppo")]
    assert link.problem == "ppo.py is a symbolic link: hand in the file itself"
    assert pipe.problem == "ppo.py is not an ordinary file: hand in the file itself"
    assert loop.problem == "there is no ppo.py or ppo.ipynb: hand it in"


@pytest.mark.usefixtures("small_limits")
def test_a_huge_file_is_refused_without_being_read(tmp_path):
    folder(tmp_path, "adam/ppo.py")
    folder(tmp_path, "novak/ppo.py", content="#" * 1001)
    _, novak = collect([tmp_path], TOPICS)
    assert "hand in the assignment only" in novak.problem


def test_an_unreadable_file_is_a_problem_of_that_student_only(tmp_path, monkeypatch):
    folder(tmp_path, "adam/ppo.py", "novak/ppo.py")
    read_bytes = Path.read_bytes

    def refused(path: Path) -> bytes:
        if "novak" in str(path):
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    adam, novak = collect([tmp_path], TOPICS)
    assert found([adam]) == [("adam", "ppo")]
    assert novak.problem == "ppo.py cannot be read (Permission denied): hand it in again"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "there is no .py, .ipynb or .zip file"),
        (("readme.txt",), "there is no .py, .ipynb or .zip file"),
        (("novak/homework.py",), "tell no topic: add --topic"),
    ],
)
def test_a_folder_without_submissions_is_the_instructors_mistake(tmp_path, names, message):
    with pytest.raises(NoSubmission, match=message):
        collect([folder(tmp_path, *names)], TOPICS)


@pytest.mark.parametrize("given", ["blaise/homework/ppo.py", "blaise.zip"])
def test_a_folder_in_what_a_student_handed_in_does_not_name_the_student(tmp_path, given):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "ppo.py").write_text(CODE)
    if given.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / given, "w") as archive:
            archive.writestr("homework/ppo.py", CODE)
    else:
        (tmp_path / given).parent.mkdir(parents=True)
        (tmp_path / given).write_text(CODE)
    assert [each.student for each in collect([tmp_path], TOPICS)] == ["ada", "blaise"]
    with pytest.raises(NoSubmission, match=f"its student would be called homework, as a folder .*: name {tmp_path} itself"):
        collect(sorted(tmp_path.iterdir()), TOPICS)
    assert len(collect([tmp_path / "ada"], TOPICS)) == len(collect([tmp_path / Path(given).parts[0]], TOPICS)) == 1


def test_an_empty_folder_among_the_paths_is_a_student_who_handed_in_nothing(tmp_path):
    root = folder(tmp_path, "adam/ppo.py")
    (root / "novak").mkdir()
    adam, novak = collect(sorted(root.iterdir()), TOPICS)
    assert found([adam]) == [("adam", "ppo")]
    assert (novak.student, novak.topic, novak.problem) == ("novak", "ppo", "there is no ppo.py or ppo.ipynb: hand it in")


def test_a_folder_of_thousands_of_programs_is_not_read(tmp_path):
    folder(tmp_path, "adam/ppo.py", *(f"novak/lib/{number:03}.py" for number in range(60)), "novak/ppo.py")
    adam, novak = collect([tmp_path], TOPICS)
    assert found([adam]) == [("adam", "ppo")]
    assert novak.problem is None  # read before the others, as it lies higher
    (tmp_path / "novak" / "ppo.py").rename(tmp_path / "novak" / "lib" / "ppo.py")
    assert collect([tmp_path], TOPICS)[1].problem == "this holds too much: hand in the assignment only"


def test_no_name_puts_control_characters_into_a_message(tmp_path):
    (tmp_path / "ppo_\x1b[31m.py").symlink_to(tmp_path / "secret.txt")
    submission = only(collect([tmp_path], TOPICS))
    assert submission.problem == "ppo__[31m.py is a symbolic link: hand in the file itself"
    assert submission.filename == "ppo__[31m.py"


def test_a_link_among_the_paths_is_not_followed(tmp_path):
    (tmp_path / "ppo.py").symlink_to(placed(tmp_path / "secret.txt", b"grades = 1\n"))
    assert only(collect([tmp_path / "ppo.py"], TOPICS)).problem == "ppo.py is a symbolic link: hand in the file itself"


def test_a_path_that_does_not_exist_is_the_instructors_mistake(tmp_path):
    with pytest.raises(NoSubmission, match="nowhere cannot be read: No such file or directory"):
        collect([tmp_path / "nowhere"], TOPICS)


def test_a_broken_archive_alone_is_explained(tmp_path):
    with pytest.raises(NoSubmission, match="class.zip: the archive is broken"):
        collect([placed(tmp_path / "class.zip", b"")], TOPICS)


def test_an_undecodable_file_name(tmp_path):
    name = os.fsencode(tmp_path) + b"/ppo_nov\xe1k.py"
    with open(name, "wb") as file:
        file.write(CODE.encode())
    submission = only(collect([tmp_path], TOPICS))
    assert (submission.topic, submission.student) == ("ppo", "nov_k")
    submission.filename.encode()
