"""Untrusted source is read where it can do no harm: what costs Python's parser hours costs the grader seconds."""

import json

import pytest
from msgspec.structs import replace

from grader.classroom.engines import graded
from grader.classroom.intake import collect
from grader.classroom.session import grade_class
from grader.contract.registry import load
from grader.contract.student import StudentError
from grader.grading import reading
from grader.grading.graft import graft
from grader.grading.remote import Sandboxed
from grader.grading.sandbox import Sandbox
from grader.inside.limits import Limits
from grader.records import Options, Submission

TOPIC = load("ppo")
SOLUTION = TOPIC.solution.read_text()
SLOW = "f'" + "{x}" * 66_000 + "'"  # Python's parser needs quadratic time for it
CHAIN = "\n".join(f"x{number} = x{number + 1}" for number in range(12_000)) + "\ndef entropy(logits):\n    return x0\n"


def unread(*files: tuple[str, str | bytes]) -> Submission:
    contents = tuple((name, content if isinstance(content, bytes) else content.encode()) for name, content in files)
    return Submission("ada", "ppo", None, files[0][0], "0" * 64, unread=contents)


@pytest.fixture
def hasty(sandbox, monkeypatch):
    """The sandbox, with a reader that has little time."""
    monkeypatch.setattr(sandbox, "reader", Sandboxed(sandbox, Limits(seconds=0.4)))
    yield sandbox
    sandbox.reader.close()


def test_a_program_and_a_notebook_are_read(sandbox):
    notebook = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": "%time\nx = 1"}]})
    program = reading.read(unread(("ppo.py", "x = 1\n")), sandbox)
    assert (program.source, program.filename, program.problem, program.unread) == ("x = 1\n", "ppo.py", None, ())
    read = reading.read(unread(("a/ppo.ipynb", notebook)), sandbox)
    assert (read.source, read.cells) == ("pass  # %time\nx = 1\n", ((1, 1),))
    both = reading.read(unread(("ppo.ipynb", notebook), ("ppo.py", "# %%\npass  # %time\nx = 1\n")), sandbox)
    assert both.filename == "ppo.py" and both.problem is None
    assert reading.read(program, sandbox) is program


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ([("ppo.py", "def f(:")], "Python cannot read the code in line 1, `def f(:`: invalid syntax"),
        ([("ppo.py", "x = 1"), ("ppo.ipynb", "[]")], "ppo.py and ppo.ipynb were handed in, and they differ: hand in one of them only"),
        ([("ppo.ipynb", b"[" + b"{}," * 2**22 + b"{}]")], "the file is not a notebook: export it from Jupyter as .ipynb and hand that in"),
    ],
)
def test_what_cannot_be_read_has_a_problem(sandbox, files, problem):
    read = reading.read(unread(*files), sandbox)
    assert (read.source, read.problem) == (None, problem)


def test_a_source_that_takes_long_to_parse_costs_its_student_alone(hasty):
    expected = "Python cannot read the code: it did not finish within 0.4 seconds: hand in the assignment only"
    assert reading.read(unread(("ppo.py", SLOW)), hasty).problem == expected
    magics = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": SLOW + "\n%time" * 5}]})
    assert reading.read(unread(("ppo.ipynb", magics)), hasty).problem == expected
    assert reading.read(unread(("ppo.py", "x = 1\n")), hasty).source == "x = 1\n"


def test_a_source_that_takes_long_to_take_apart_is_not_trained(hasty):
    with pytest.raises(StudentError, match="cannot be prepared for training: it did not finish within") as caught:
        reading.taken_apart(TOPIC, CHAIN, hasty)
    assert caught.value.verdict == "timeout"
    assert reading.taken_apart(TOPIC, "x = 1\n", hasty).source == "()\n"


def test_taking_apart_gives_the_same_in_the_sandbox(sandbox):
    source = SOLUTION.replace("def train(", "def train_(")
    assert reading.taken_apart(TOPIC, source, sandbox) == graft(TOPIC, source)
    with pytest.raises(StudentError, match="cannot be prepared for training: SyntaxError: 'return' outside function$"):
        reading.taken_apart(TOPIC, "return 1\n", sandbox)


def test_a_sandbox_that_fails_is_no_problem_of_the_students(monkeypatch):
    class Broken(Sandboxed):
        def open(self):
            raise StudentError("grader_fault", "the sandbox does not start any more")

    broken = Sandbox("process")
    broken.reader = Broken(broken)
    for action in (lambda: reading.read(unread(("ppo.py", "")), broken), lambda: reading.taken_apart(TOPIC, "", broken)):
        with pytest.raises(StudentError, match="grader_fault"):
            action()


def test_a_class_is_collected_without_being_parsed(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("it was parsed")

    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "ppo.py").write_text(SLOW)
    collect([tmp_path], ["ppo"])  # so that nothing is imported below, which pytest would parse
    monkeypatch.setattr("ast.parse", refuse)
    (ada,) = collect([tmp_path], ["ppo"])
    assert ada.submission().unread == (("ada/ppo.py", SLOW.encode()),)


def test_a_source_that_cannot_be_read_is_not_read_again(tmp_path, monkeypatch):
    (tmp_path / "class" / "ada").mkdir(parents=True)
    (tmp_path / "class" / "ada" / "ppo.py").write_text("def f(:")
    first = grade_class([tmp_path / "class"], tmp_path / "out", graded, jobs=1, options=Options(training=False, sandbox="process"))
    monkeypatch.setattr(reading, "read", None)
    second = grade_class([tmp_path / "class"], tmp_path / "out", graded, jobs=1, options=Options(training=False, sandbox="process"))
    assert first == second and "Python cannot read" in first[0].problem


def test_removing_one_of_two_files_that_differ_is_another_submission(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "ppo.py").write_text("x = 1\n")
    (alone,) = collect([tmp_path], ["ppo"])
    (tmp_path / "ada" / "ppo.ipynb").write_text("{}")
    (both,) = collect([tmp_path], ["ppo"])
    assert alone.sha256 != both.sha256 and len(both.files) == 2
    (tmp_path / "ada" / "old").mkdir()
    for number in range(3):
        (tmp_path / "ada" / "old" / f"ppo{number}.py").write_text(f"x = {number}\n")
    assert collect([tmp_path], ["ppo"])[0].sha256 == both.sha256, "files whose names say more than the topic are left out"
    assert replace(both.submission(), unread=()).source is None
