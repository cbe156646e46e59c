"""Results on disk survive crashes, full disks and a second process."""

import errno
import multiprocessing
import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from sample_results import basis, check, result_of, sample_class, sha

from grader.classroom.reports import write_reports
from grader.classroom.store import Store, StoreError, write_atomically
from grader.records import Options, Previous


def graded(student="ada", topic="ppo", score=3.0, verdict="passed", **fields):
    return result_of(student, [check(verdict=verdict, points=3.0, score=score)], topic=topic, **fields)


def test_a_result_is_read_back(tmp_path):
    store = Store(tmp_path / "results")
    for result in sample_class():
        store.write(result)
        assert store.read(result.student, "ppo") == result
    assert store.path("ada", "ppo") == tmp_path / "results" / "ada" / "ppo.json"


@pytest.mark.parametrize(
    "changed",
    [{"submission": "s2"}, {"engine": "e2"}, {"topic": "t2"}, {"seed": "another"}, {"training": False}, {"sandbox": "process"}],
    ids=str,
)
def test_nothing_is_graded_twice_unless_something_changed(tmp_path, changed):
    store = Store(tmp_path)
    assert store.finished("ada", "ppo", basis()) is None
    store.write(graded())
    assert store.finished("ada", "ppo", basis()) == graded()
    assert store.finished("ada", "ppo", basis(**changed)) is None
    assert store.finished("ada", "trpo", basis()) is None


def test_what_the_grader_failed_at_is_graded_again(tmp_path):
    store = Store(tmp_path)
    store.write(graded(verdict="grader_fault", score=0.0))
    assert store.finished("ada", "ppo", basis()) is None


def test_another_submission_leaves_the_earlier_score_behind(tmp_path):
    store = Store(tmp_path)
    store.write(graded(score=1.0))
    assert store.read("ada", "ppo").previous is None
    store.write(graded(score=2.0, submission="s2"))
    expected = Previous(1.0, 3.0, sha("submission"), sha("engine"), sha("ppo"))
    assert store.read("ada", "ppo").previous == expected
    store.write(graded(score=2.0, submission="s2", training=False))
    assert store.read("ada", "ppo").previous == expected


def test_the_seed_itself_is_in_no_result(tmp_path):
    store = Store(tmp_path)
    seed = store.seed()
    provenance = replace(graded().provenance, basis=replace(basis(), seed_sha256=Options(seed=seed).seed_sha256))
    store.write(replace(graded(), provenance=provenance))
    write_reports(store)
    assert all(str(seed) not in path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.name != "seed.txt")
    assert Options(seed=seed).seed_sha256 != Options(seed=seed + 1).seed_sha256


def test_all_results_come_by_student_and_topic(tmp_path):
    store = Store(tmp_path)
    assert store.results() == ([], [])
    for student, topic in [("blaise", "ppo"), ("ada", "trpo"), ("ada", "ppo")]:
        store.write(graded(student, topic))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "ppo.json").write_text("{}")
    results, damaged = store.results()
    assert [(result.student, result.topic) for result in results] == [("ada", "ppo"), ("ada", "trpo"), ("blaise", "ppo")]
    assert damaged == []


def fails_with(code):
    def fail(*arguments):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(("call", "code"), [("fsync", errno.ENOSPC), ("replace", errno.EROFS)])
def test_a_full_disk_or_read_only_folder_loses_nothing(tmp_path, monkeypatch, call, code):
    store = Store(tmp_path)
    store.write(graded())
    before = store.path("ada", "ppo").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails_with(code))
        with pytest.raises(StoreError, match=f"cannot write .*ppo.json: {os.strerror(code)}; everything written earlier is intact"):
            store.write(graded(score=0.0))
    assert store.path("ada", "ppo").read_bytes() == before
    assert [path.name for path in (tmp_path / "ada").iterdir()] == ["ppo.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_disk_that_is_really_full(tmp_path):
    path = tmp_path / "report.html"
    (tmp_path / f".report.html.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="No space left on device"):
        write_atomically(path, "text")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "results").write_text("not a folder")
    store = Store(tmp_path / "results")
    with pytest.raises(StoreError, match="cannot write results into .*results"), store.writing():
        raise AssertionError("the lock was given")
    with pytest.raises(StoreError, match="cannot write .*ppo.json"):
        store.write(graded())


@pytest.mark.parametrize("name", ["", ".", "..", ".lock", "a/b", "a\\b", "/etc", "a\0b", "line\nbreak", "\ud800"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(StoreError, match="cannot be the name of a student"):
        Store(tmp_path).path(name, "ppo")


@pytest.mark.parametrize("name", ["Čapek, Karel", "李四", "o'brien <x>", "student@example.org_123"])
def test_real_names_are_accepted(tmp_path, name):
    store = Store(tmp_path)
    store.write(graded(student=name))
    assert store.results()[0][0].student == name


def test_any_text_can_be_stored(tmp_path):
    store = Store(tmp_path)
    text = "\ud800 \0 \u2028 </script>"
    store.write(graded(problem=text))
    assert store.read("ada", "ppo").problem == text
    write_atomically(tmp_path / "page.html", "\ud800")
    assert (tmp_path / "page.html").read_text() == "\\ud800"


def hold(folder: Path, connection):
    with Store(folder).writing():
        connection.send("held")
        connection.recv()


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path, there), daemon=True)
    process.start()
    assert here.poll(60) and here.recv() == "held"
    with pytest.raises(StoreError, match="another process is writing results"), Store(tmp_path).writing():
        raise AssertionError("two processes hold the folder")
    process.kill()  # a killed run leaves no lock behind
    process.join()
    with Store(tmp_path).writing() as store:
        store.write(graded())


def test_the_leftovers_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / "ada").mkdir()
    leftover = tmp_path / "ada" / ".ppo.json.4242.partial"
    leftover.write_text('{"schema": 1, "stu')
    with Store(tmp_path).writing() as store:
        assert not leftover.exists()
        assert store.results() == ([], [])


def test_the_seed_of_a_folder_is_drawn_once_and_unpredictable(tmp_path):
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    assert first.seed() == first.seed() == Store(tmp_path / "a").seed() != second.seed()
    (tmp_path / "a" / "seed.txt").write_text("lost")
    with pytest.raises(StoreError, match="cannot read the seed"):
        first.seed()
