"""What attacks on the grader and odd, correct submissions once achieved, and must not again."""

import dataclasses
import hashlib
import json
import re
import textwrap

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from sample_results import result_of

from grader.classroom.intake import collect
from grader.classroom.store import Store
from grader.contract.expect import Wrong, expect_close
from grader.contract.figures import Figures
from grader.contract.registry import available, load
from grader.contract.served import checked_actions
from grader.contract.student import InProcess, Student, StudentError
from grader.grading import grade as grading
from grader.grading.diagnosis import Recorded, likely_mistakes, trusted
from grader.grading.grade import grade
from grader.grading.remote import Sandboxed
from grader.inside.limits import Limits
from grader.records import Submission
from npfl139.source import Unreadable, read_source

LIMITS = Limits(seconds=20, cpu_seconds=20, memory=256 * 2**20, scratch=2**20)
TOPIC = load("ppo")
SOLUTION = TOPIC.solution.read_text()


def submission(source):
    return Submission("ada", "ppo", source, "ppo.py", hashlib.sha256(source.encode()).hexdigest())


def outcomes(topic, exercise, student, seed):
    """Yield the name of each check of an exercise once it has run, and whether it passed."""
    for check in topic.checks:
        if check.exercise == exercise:
            try:
                check.run(student, seed=seed)
            except Wrong:
                yield check.name, False
            else:
                yield check.name, True


def test_a_crowd_of_threads_is_ended(sandbox):
    """Threads with small stacks fit the memory limit by the ten thousand, and would take all process numbers of the machine."""
    source = """
        import _thread, threading, time

        def crowd(count):
            threading.stack_size(2**15)
            for _ in range(count):
                _thread.start_new_thread(time.sleep, (60,))
            time.sleep(60)

        def few(count):
            threads = [threading.Thread(target=time.sleep, args=(0.5,)) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return count
    """
    with Sandboxed(sandbox, dataclasses.replace(LIMITS, threads=50)) as student:
        student.load(textwrap.dedent(source), "work", "work.py")
        assert student.few(30) == 30
        with pytest.raises(StudentError, match="violation: it had more than 50 threads"):
            student.crowd(300)


def test_a_check_does_not_take_a_huge_value(sandbox):
    """A vector of 60 million bytes crosses the wire, but a check that makes an object of each would take the machine's memory."""
    returned = "[torch.zeros(30_000_000, dtype=torch.uint8)] * -(-count // batch_size)"
    huge = f"\ndef minibatches(count, batch_size, generator):\n    return {returned}\n"
    checks = tuple(check for check in TOPIC.checks if check.exercise in ("minibatches", "RunningMoments.update"))
    topic = dataclasses.replace(TOPIC, exercises=("minibatches", "RunningMoments.update"), checks=checks, trainings=())
    result = grade(topic, submission(SOLUTION + huge), sandbox)
    verdicts = {(check.exercise, check.verdict) for check in result.checks}
    assert verdicts == {("minibatches", "wrong"), ("RunningMoments.update", "passed")}
    feedback = [check.feedback for check in result.checks if check.exercise == "minibatches"]
    assert all(re.search(r"value of \d+ bytes, which is too large", text) for text in feedback)


def test_a_long_string_among_numbers_is_not_made_an_array():
    """numpy would give each of the numbers as much room as the string has: here 2 TiB."""
    with pytest.raises(Wrong, match="must be a tensor, got list"):
        expect_close(["x" * 1_000_000] + [1.0] * 500_000, np.zeros(3))


@pytest.mark.parametrize("value", [torch.tensor([1.0, 2.0]), torch.tensor([1, 2]), np.array([1, 2]), np.array([1.0, 2.0], np.float16)])
def test_arrays_of_any_kind_are_numbers(value):
    expect_close(value, [1.0, 2.0])


@pytest.mark.parametrize("value", [[1, 2.0], (np.float32(1), 2), [torch.tensor(1.0), 2]])
def test_a_list_is_no_tensor(value):
    with pytest.raises(Wrong, match="must be a tensor, got (list|tuple)"):
        expect_close(value, [1.0, 2.0])


def test_an_action_that_overflows_the_space_is_refused():
    """1e300 is finite, but not as the float32 that the environment would get."""
    with pytest.raises(StudentError, match="finite"):
        checked_actions(np.full((2, 1), 1e300), Box(-1, 1, (1,), np.float32), 2)


@pytest.mark.parametrize("name", ["seed.txt", "Report.html"])
def test_no_student_takes_the_name_of_a_file_of_the_results(name, tmp_path):
    (tmp_path / "class" / name).mkdir(parents=True)
    (tmp_path / "class" / name / "ppo.py").write_text("x = 1\n")
    (student,) = collect([tmp_path / "class"], available())
    store = Store(tmp_path / "results")
    with store.writing():
        store.seed()
        (store.folder / "report.html").write_text("")
        store.write(result_of(student.student))
    assert student.student == f"{name}_"


def test_a_training_check_that_breaks_costs_nothing_else(sandbox, monkeypatch):
    def broken(student, seed):
        raise KeyError("broken")

    monkeypatch.setattr(grading, "calibrated", lambda *names: Figures("", {}, {}, {}, threshold=0.0))
    topic = dataclasses.replace(TOPIC, trainings=(dataclasses.replace(TOPIC.trainings[0], attempt=broken),))
    result = grade(topic, submission(SOLUTION), sandbox)
    assert result.training[0].verdict == "grader_fault" and "KeyError" in result.training[0].feedback
    assert result.score == sum(check.points for check in TOPIC.checks)


def test_a_forged_wrong_while_loading_is_only_wrong(sandbox):
    """A submission can claim of itself that it returned something that is no value, even where nothing was called."""
    forged = """
import os, struct, time
import msgpack
head = msgpack.packb({"failure": {"kind": "value", "type": "x", "message": "an object", "line": None}})
frame = struct.pack("<I", len(head)) + head
os.write(3, struct.pack("<I", len(frame)) + frame)
time.sleep(100)
"""
    result = grade(dataclasses.replace(TOPIC, trainings=()), submission(forged), sandbox)
    assert {check.verdict for check in result.checks} == {"wrong"} and result.score == 0


@pytest.mark.parametrize("message", ["", "'some other function'"])
def test_a_stub_of_the_submission_is_missing_and_blocks_nothing(sandbox, message):
    source = f"{SOLUTION}\ndef value_loss(value, target):\n    raise NotImplementedError({message})\n"
    result = grade(dataclasses.replace(TOPIC, trainings=()), submission(source), sandbox)
    verdicts = {(check.verdict, check.feedback) for check in result.checks if check.exercise == "value_loss"}
    assert verdicts == {("missing", f"{message.strip(chr(39)) or 'a function'} is not implemented yet")}


class Spy(Student):
    """A submission that keeps the configuration that it is trained with."""

    def __init__(self):
        super().__init__()
        self.overrides = {}

    def train(self, environments, **overrides):
        self.overrides = overrides
        raise StudentError("crashed", "seen enough")

    def request(self, *arguments, **keywords):
        raise StudentError("crashed", "seen enough")


@pytest.mark.parametrize(
    "training",
    [pytest.param(training, id=f"{name}-{training.name}") for name in available() for training in load(name).trainings],
)
def test_no_training_tells_its_seed(training):
    """Whoever has it, and the library, knows the relabelling and the episodes of the evaluation."""
    spy, seed = Spy(), 2**61 + 1
    with pytest.raises(StudentError, match="seen enough"):
        training.attempt(spy, seed)
    assert spy.overrides.get("seed") != seed


IN_PLACE = """
    import torch

    def product(x, y):
        x *= y
        return x.sum()

    class Chain:
        def __init__(self):
            self.total = 0
        def add(self, number):
            self.total += number
            return self
"""


def test_a_submission_that_changes_what_it_differentiates_in_place_is_told_so(sandbox):
    """Torch allows it, since in training these tensors are no leaves; but they are the caller's."""
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    with Sandboxed(sandbox, LIMITS) as student:
        student.load(textwrap.dedent(IN_PLACE), "work", "work.py")
        with pytest.raises(StudentError, match="wrong: it changed argument number 1 in place"):
            student.gradient("product", x, y, wrt=[0, 1])


def test_a_method_may_return_its_object():
    student = InProcess(textwrap.dedent(IN_PLACE), "work", "work.py")
    chain = student.create("Chain")
    chain.add(2)
    chain.add(3)
    assert chain.read("total") == 5


@pytest.mark.parametrize("dot", [".", " . ", ".\\\n"])
def test_an_endless_dotted_name_is_refused(dot):
    """Python would take minutes and gigabytes to parse it, before anything is graded."""
    cell = {"cell_type": "code", "source": "import " + dot.join(["b"] * 40_000)}
    for content, name in ((cell["source"].encode(), "ppo.py"), (json.dumps({"nbformat": 4, "cells": [cell]}).encode(), "ppo.ipynb")):
        with pytest.raises(Unreadable, match="more than a hundred parts"):
            read_source(content, name)


@pytest.mark.parametrize("text", ["x" * 190_000, "x = 1 " + " " * 190_000, "x = [" + "0.5," * 40_000 + "]", "x = y" + ".z" * 90 + ".real"])
def test_a_long_text_without_such_a_name_is_read_at_once(text):
    assert read_source(text.encode(), "ppo.py").text == text


@pytest.mark.parametrize("least", [1e-3, 1e-4])
def test_an_entropy_that_bounds_small_probabilities_is_wrong_for_nearly_certain_policies(least):
    """Right where a probability is 0 and where none is small."""
    right = "-(log_prob.exp() * log_prob).sum(-1)"
    assert right in SOLUTION
    student = InProcess(SOLUTION.replace(right, f"-(log_prob.exp() * log_prob.clamp(min=math.log({least}))).sum(-1)"), "bounds", "ppo.py")
    failed = [name for name, passed in outcomes(TOPIC, "entropy", student, seed=1) if not passed]
    assert "check_entropy_of_certain_actions" in failed


def test_an_unroll_without_any_gradient_is_not_told_that_it_cuts_off_time():
    topic = load("r2d2")
    source = topic.solution.read_text().split("if __name__ ==")[0]
    source += "\n_unroll = unroll\ndef unroll(*arguments):\n    return tuple(result.detach() for result in _unroll(*arguments))\n"
    student, answers, failed = Recorded(trusted(topic, source, "r2d2.py")), {}, []
    for name, passed in outcomes(topic, "unroll", student, seed=3):
        answers[name] = list(student.answers)
        failed += [] if passed else [name]
    assert failed == ["check_gradients_flow_through_time"]
    assert likely_mistakes(topic, "unroll", answers, seed=3) == {}
