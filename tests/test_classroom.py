"""A class is graded to the end, whatever happens to one submission or to a process of the grader, and nothing twice."""

import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest
from sample_results import check

from grader.classroom import engines
from grader.classroom.session import grade_class
from grader.classroom.store import Store
from grader.contract.registry import load
from grader.grading.sandbox import SandboxUnavailable
from grader.records import Options, Result
from grader.release.skeleton import make_skeleton

TOPIC = load("ppo")
UNITS = Options(training=False)
SOURCES = {
    "ada": TOPIC.solution.read_text(),
    "blaise": make_skeleton(TOPIC.solution.read_text(), TOPIC.exercises),
    "carl": "def lambda_advantage(:\n",
}


@pytest.fixture
def folder(tmp_path):
    for student, source in SOURCES.items():
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "ppo.py").write_text(source)
    return tmp_path / "class"


def passed(submission, options):
    """Return a made-up result in which one check passed."""
    provenance = engines.fault(TOPIC, submission, options, "").provenance
    return Result.of(submission.student, "ppo", [check()], [], provenance)


@pytest.fixture
def quick(monkeypatch):
    """Results without grading, in this process; returns the list of the students graded."""
    graded = []

    def result(submission, sandbox, options):
        graded.append(submission.student)
        return passed(submission, options)

    class NoSandbox:
        def __enter__(self):
            return None

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(engines, "graded_alone", result)
    monkeypatch.setattr(engines, "open_sandbox", lambda kind: NoSandbox())
    return graded


def test_a_class_is_graded_in_several_processes(folder, tmp_path):
    results = grade_class([folder], tmp_path / "out", engines.graded, jobs=2, options=UNITS)
    assert [(result.student, result.score > 0) for result in results] == [("ada", True), ("blaise", False), ("carl", False)]
    assert "line 1" in results[2].problem
    assert Store(tmp_path / "out").results()[0] == [Store(tmp_path / "out").read(student, "ppo") for student in SOURCES]
    assert (tmp_path / "out" / "report.html").exists() and (tmp_path / "out" / "ada" / "report.html").exists()


def test_nothing_is_graded_twice(folder, tmp_path, quick):
    grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    assert quick == ["ada", "blaise", "carl"]
    (folder / "blaise" / "ppo.py").write_text("# changed\n")
    results = grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    assert quick == ["ada", "blaise", "carl", "blaise"]
    assert len(results) == 3


def test_other_options_grade_again(folder, tmp_path, quick):
    grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=Options(training=False, seed=1))
    assert len(quick) == 6


def test_a_killed_run_resumes(folder, tmp_path, quick, monkeypatch):
    result = engines.graded_alone

    def killed(submission, sandbox, options):
        if submission.student == "blaise":
            raise KeyboardInterrupt
        return result(submission, sandbox, options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engines, "graded_alone", killed)
        grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    assert quick == ["ada"]
    grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    assert quick == ["ada", "blaise", "carl"]


def test_a_failure_of_the_grader_is_a_result(folder, tmp_path, monkeypatch):
    def broken(topic, submission, sandbox, options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(engines, "grade", broken)
    results = grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    assert {check.verdict for result in results for check in result.checks} == {"grader_fault"}
    assert "a bug" in results[0].checks[0].feedback


@pytest.mark.parametrize(("deaths", "verdicts"), [(1, {"passed"}), (2, {"grader_fault"})])
def test_a_process_of_the_grader_that_dies_is_replaced_once(folder, tmp_path, monkeypatch, deaths, verdicts):
    left = [deaths]

    class Pool:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, submission, options):
            future = Future()
            if submission.student == "ada" and left[0]:
                left[0] -= 1
                future.set_exception(BrokenProcessPool("died"))
            else:
                future.set_result(passed(submission, options))
            return future

    monkeypatch.setattr(engines, "_pool", lambda jobs, options: Pool())
    results = grade_class([folder], tmp_path / "out", engines.graded, jobs=2, options=UNITS)
    assert {check.verdict for check in results[0].checks} == verdicts
    assert {check.verdict for result in results[1:] for check in result.checks} == {"passed"}


def test_a_sandbox_that_cannot_be_opened_stops_the_class(folder, tmp_path, monkeypatch):
    def refuse(kind):
        raise SandboxUnavailable("install bubblewrap")

    monkeypatch.setattr(engines, "open_sandbox", refuse)
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    monkeypatch.setattr(engines, "_sandbox", None, raising=False)
    engines._enter_pool("bwrap")
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        engines._in_pool(None, UNITS)


def test_without_a_seed_the_folder_keeps_one(folder, tmp_path, quick):
    for out in ("out", "out", "other"):
        grade_class([folder], tmp_path / out, engines.graded, jobs=1, options=Options(training=False, seed=None))
    assert len(quick) == 6
    seeds = {Store(tmp_path / out).read("ada", "ppo").provenance.basis.seed_sha256 for out in ("out", "other")}
    assert seeds == {Options(seed=Store(tmp_path / out).seed()).seed_sha256 for out in ("out", "other")} and len(seeds) == 2


NOTHING_LEFT = """
import sys
from pathlib import Path
from grader.classroom.session import grade_class
from grader.commands import engine
from grader.records import Options
results = grade_class([Path(sys.argv[1])], Path(sys.argv[2]), engine, options=Options(training=False))
print(len(results), "torch" in sys.modules, "grader.classroom.engines" in sys.modules)
"""


def test_with_nothing_left_to_grade_neither_torch_nor_a_sandbox_is_needed(folder, tmp_path, quick):
    grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    command = [sys.executable, "-c", NOTHING_LEFT, str(folder), str(tmp_path / "out")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[-1] == "3 False False"


def test_a_damaged_result_is_graded_again(folder, tmp_path, quick):
    grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    path = Store(tmp_path / "out").path("blaise", "ppo")
    path.write_text(path.read_text().replace('"score": 1.0', '"score": 2.0'))
    grade_class([folder], tmp_path / "out", engines.graded, jobs=1, options=UNITS)
    assert quick == ["ada", "blaise", "carl", "blaise"]
    assert Store(tmp_path / "out").results()[1] == []
