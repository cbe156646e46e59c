"""A damaged result is told and graded again; it never stops a report."""

import copy
import json
import tempfile
from pathlib import Path
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_results import basis, check, graded, result_of, sample_class

from grader.classroom import reports
from grader.classroom.reports import write_reports
from grader.classroom.store import Store
from grader.records import Result

SAMPLES = [json.loads(json.dumps(msgspec.to_builtins(result))) for result in (*sample_class(), graded("kate", topic="trpo"))]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2, 10**400, -(2**70)]),
    st.floats(),
    st.sampled_from(["", "passed", "grader_fault", "3", "\ud800", "../..", "<script>"]),
    st.text(max_size=8),
    st.lists(st.none() | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=3),
)


def places(value, path=()):
    """Return the paths of everything in a parsed file."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, item in inside for place in places(item, (*path, key))]


@st.composite
def damaged(draw):
    """Return (student, topic, content of the file) of a sample in which something was deleted, replaced, nested, cut or flipped."""
    sample = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    student, topic = sample["student"], sample["topic"]
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from(places(sample) or [(None,)]))
        holder = sample
        for key in way:
            holder = holder[key]
        kind = draw(st.sampled_from(["delete", "replace", "nest", "add"]))
        if last is None or not isinstance(holder, dict | list):
            break
        if kind == "delete":
            del holder[last]
        elif kind == "nest":
            holder[last] = draw(st.sampled_from([[holder[last]], {"a": holder[last]}]))
        elif kind == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=4))] = draw(VALUES)
        else:
            holder[last] = draw(VALUES)
    content = bytearray(json.dumps(sample).encode())
    flips, cut = draw(st.integers(0, 2)), draw(st.booleans())
    for _ in range(flips):
        content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
    return student, topic, bytes(content[: draw(st.integers(0, len(content)))] if cut else content)


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_a_damaged_file_is_a_valid_result_or_told_and_every_page_is_written(damage):
    student, topic, content = damage
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):  # which takes most of the time
        store = Store(folder)
        store.write(graded("zoe"))
        path = store.path(student, topic)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        results, told = store.results()
        assert (told == [path]) == (len(results) == 1)
        assert all(msgspec.convert(msgspec.to_builtins(result), Result) == result for result in results)
        assert not told or store.finished(student, topic, basis(topic=topic)) is None
        written = write_reports(store)
        assert written.failed == () and written.path.exists() and (Path(folder) / "zoe" / "report.html").exists()
        assert not told or "1 damaged file left out" in written.path.read_text()


def stored(**changes):
    """Return a sample as it is stored, with values changed, a__0__b being that of b in the first of a, and deleted if KeyError."""
    sample = copy.deepcopy(SAMPLES[0])
    for name, value in changes.items():
        *way, last = (int(key) if key.isdecimal() else key for key in name.split("__"))
        holder = sample
        for key in way:
            holder = holder[key]
        holder[last] = value
        if value is KeyError:
            del holder[last]
    return json.dumps(sample).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[1]",
        b"null",
        b"[" * 100_000,
        stored()[:-2],
        stored(schema=1),
        stored(schema=True),
        stored(schema=KeyError),
        stored(student="blaise"),
        stored(topic="trpo"),
        stored(score=3.0),
        stored(max_score=12.0),
        stored(score=float("nan")),
        stored(checks=None),
        stored(checks__0={}),
        stored(checks__0__score=KeyError),
        stored(checks__0__hint=KeyError),
        stored(checks__0__score=2.0, score=12.0),
        stored(checks__0__score=-1.0, score=9.0),
        stored(checks__0__verdict="fine"),
        stored(training__0__seeds__0__steps=-1),
        stored(training__0__seeds__0__return="1"),
        stored(training__0__threshold=1e300),
        stored(training__0__threshold=float("inf")),
        stored(training__0__false_fail=None),
        stored(training__0__false_fail=1.5),
        stored(provenance__seconds=KeyError),
        stored(provenance__basis__topic_sha256="short"),
        stored(provenance__basis__sandbox="none"),
        stored(something="more"),
    ],
    ids=range(31),
)
def test_a_damaged_file_is_told_and_graded_again(tmp_path, content):
    store = Store(tmp_path)
    for result in (graded("ada"), graded("ada", topic="trpo")):
        store.write(result)
    store.path("ada", "ppo").write_bytes(content)
    assert store.read("ada", "ppo") is None
    assert store.finished("ada", "ppo", basis()) is None
    results, told = store.results()
    assert [result.topic for result in results] == ["trpo"] and told == [store.path("ada", "ppo")]
    store.write(graded("ada"))
    assert store.finished("ada", "ppo", basis()) is not None


@pytest.mark.parametrize(
    "fields", [{"score": 2.0}, {"score": -1.0}, {"score": float("nan")}, {"verdict": "fine"}, {"feedback": 1}, {"name": None}], ids=str
)
def test_no_result_is_made_that_would_be_damaged(fields):
    with pytest.raises(ValueError):
        result_of("ada", [check(**fields)])


def test_what_is_not_damaged_is_read(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "ppo.json").write_bytes(stored())
    assert Store(tmp_path).read("ada", "ppo") == graded("ada")


def test_a_page_that_breaks_stops_no_other_and_is_told(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for student in ("ada", "blaise", "carl"):
        store.write(graded(student))
    (tmp_path / "carl" / "report.html").mkdir()
    page = reports.student_page

    def breaking(results, *known, **more):
        return 1 / 0 if results[0].student == "ada" else page(results, *known, **more)

    monkeypatch.setattr(reports, "student_page", breaking)
    written = write_reports(store)
    assert "the page ada/report.html could not be made: ZeroDivisionError" in written.failed[0]
    assert "cannot write" in written.failed[1] and len(written.failed) == 2
    assert (tmp_path / "blaise" / "report.html").exists()
    assert "2 pages of students could not be written" in written.path.read_text()


def test_a_topic_that_is_not_installed_any_more_is_reported(tmp_path):
    store = Store(tmp_path)
    store.write(graded("ada", topic="retired"))
    assert write_reports(store).failed == ()
