"""The instructor's commands: what they print, their status, and that they answer at once where nothing has to be computed."""

import subprocess
import sys

import pytest
from sample_results import check, result_of, sample_class

from grader.classroom import session
from grader.classroom.store import Store

REPORT = """
import atexit, sys
import npfl139.cli
atexit.register(lambda: print("torch" in sys.modules, "numpy" in sys.modules))
sys.argv = ["npfl139", "report", sys.argv[1]]
npfl139.cli.main()
"""


@pytest.fixture
def results(tmp_path):
    for result in sample_class():
        Store(tmp_path / "results").write(result)
    return tmp_path / "results"


@pytest.mark.parametrize(("verdict", "status"), [("passed", 0), ("wrong", 0), ("violation", 0), ("grader_fault", 3)])
def test_grading_has_status_3_where_the_grader_itself_failed(tmp_path, command, monkeypatch, verdict, status):
    (tmp_path / "class" / "ada").mkdir(parents=True)
    (tmp_path / "class" / "ada" / "ppo.py").write_text("")
    monkeypatch.setattr(session.Store, "finished", lambda *_: result_of("ada", [check(verdict=verdict)]))
    ended, printed, _ = command("grade", tmp_path / "class", "--out", tmp_path / "out")
    assert ended == status
    assert ("Warning: The grader itself failed on 1 of 1 submissions" in printed) == (status == 3)


def test_a_class_taken_for_a_student_has_status_2(tmp_path, command):
    for name in ("all/ada", "all/blaise", "all/carl", "other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "ppo.py").write_text("")
    status, _, complaint = command("grade", tmp_path, "--out", tmp_path / "out")
    assert status == 2 and "all would be a student with ppo in 3 folders" in complaint


def test_reports_are_written_once_more(results, command):
    assert command("report", results) == (0, f"written: {results / 'report.html'}\n", "")


def test_a_page_that_cannot_be_written_is_told_and_the_others_are_written(results, command):
    (results / "ada" / "report.html").mkdir()
    status, _, complaint = command("report", results)
    assert status == 2 and complaint.startswith("npfl139: cannot write") and "ada/report.html" in complaint
    assert (results / "blaise" / "report.html").exists() and (results / "report.html").exists()


def test_reports_need_neither_torch_nor_numpy(results):
    printed = subprocess.run([sys.executable, "-c", REPORT, str(results)], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[-1] == "False False"
