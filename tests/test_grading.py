"""Whatever a submission does, it gets a verdict and one clear sentence, and the rest of it is still graded."""

import dataclasses
import hashlib
import re

import pytest
from msgspec.structs import replace

from grader.contract.expect import expect
from grader.contract.figures import Figures
from grader.contract.registry import load
from grader.contract.spec import Attempt, Check, Training
from grader.contract.student import StudentError
from grader.grading import grade as grading
from grader.grading.grade import fault, grade
from grader.records import Options, Submission
from grader.release.skeleton import make_skeleton

TOPIC = load("ppo")
SOLUTION = TOPIC.solution.read_text().split("if __name__ ==")[0]
UNITS = dataclasses.replace(TOPIC, trainings=())
# What replaces value_loss, whose two checks come in the middle: the verdict and the sentence that it must get.
BODIES = {
    "wrong shape": ("return ((value - target) ** 2)", "wrong", r"shape \[5\], but must have \[\]"),
    "wrong dtype": ("return ((value - target) ** 2).mean().to(torch.complex64)", "wrong|crashed", "."),
    "an integer": ("return torch.tensor(1)", "wrong", "too small|too large|right value|it is 0"),
    "NaN": ("return value.mean() * float('nan')", "wrong", "NaN"),
    "None": ("return None", "wrong", "NoneType"),
    "an object": ("return object()", "wrong", "it returned an object"),
    "a generator": ("yield ((value - target) ** 2).mean()", "wrong", "it returned a generator"),
    "a string": ("return 'about 3'", "wrong", "str"),
    "a subclass": ("return value.as_subclass(type('Equal', (Tensor,), {'__eq__': lambda *_: True}))", "wrong", "Equal"),
    "a list that contains itself": ("loop = []; loop.append(loop); return loop", "wrong", "nested too deeply"),
    "an exception": ("raise ZeroDivisionError('of course')", "crashed", "ZeroDivisionError in line .*of course"),
    "a BaseException": ("raise type('Odd', (BaseException,), {})('odd')", "crashed", "Odd"),
    "an exception that cannot be printed": ("raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()", "crashed", "exception"),
    "exit": ("import sys; sys.exit(0)", "crashed", "exit"),
    "an end of the process": ("import os; os._exit(0)", "crashed", "ended its own process"),
    "a crash of the interpreter": ("import ctypes; ctypes.string_at(0)", "crashed", "Segmentation fault"),
    "recursion": ("return value_loss(value, target)", "crashed", "RecursionError"),
    "a loop": ("while True: pass", "timeout", "did not finish within"),
    "a fork": ("import os; os.fork()", "violation", "start a process"),
    "a shell": ("import subprocess; subprocess.run(['true'])", "violation", "start a process"),
    "a connection": ("import socket; socket.create_connection(('127.0.0.1', 9))", "violation", "network"),
    "too much memory": ("keep = bytearray(2**33)", "memory", "memory"),
    "closed descriptors": ("import os; os.closerange(0, 4096); return 0.0", "crashed", "connection|ended"),
    "half a frame": (
        "import os; [os.write(d, b'\\x00\\x00\\x00\\x00\\x10') for d in range(3, 5)]; import time; time.sleep(100)",
        "timeout|violation", ".",
    ),
    "a signal to everybody": (
        "import os, signal; os.kill(-1, signal.SIGKILL); raise KeyError('still here')", "crashed|violation|memory", ".",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A loop need not be watched for as long as a student's slow code deserves."""
    limits = grading.Limits
    monkeypatch.setattr(grading, "Limits", lambda **chosen: limits(**{"seconds": 2.0} | chosen))


def submission(source, problem=None):
    return Submission("ada", "ppo", source, "ppo.py", hashlib.sha256((source or "").encode()).hexdigest(), problem)


def graded(sandbox, source, topic=UNITS, **options):
    return grade(topic, submission(source), sandbox, Options(**options))


def test_the_solution_gets_full_marks(sandbox):
    result = graded(sandbox, SOLUTION)
    assert [check for check in result.checks if check.verdict != "passed"] == []
    assert result.score == result.max_score == sum(check.points for check in TOPIC.checks)


def test_the_skeleton_gets_nothing_and_every_exercise_is_missing(sandbox):
    result = graded(sandbox, make_skeleton(SOLUTION, TOPIC.exercises), TOPIC)
    assert result.score == 0
    assert {check.verdict for check in result.checks} == {"missing"}
    assert {training.verdict for training in result.training} <= {"blocked"}


@pytest.mark.parametrize(("body", "verdict", "sentence"), list(BODIES.values()), ids=list(BODIES))
def test_one_bad_exercise_costs_only_itself(sandbox, body, verdict, sentence):
    result = graded(sandbox, f"{SOLUTION}\ndef value_loss(value, target):\n    {body}\n")
    for check in result.checks:
        if check.exercise == "value_loss":
            assert check.verdict in verdict.split("|")
            assert check.feedback and "\n" not in check.feedback
        else:
            assert check.verdict == "passed", check
    assert re.search(sentence, next(check for check in result.checks if check.exercise == "value_loss").feedback)


@pytest.mark.parametrize(
    ("source", "verdict", "sentence"),
    [
        ("import a_package_that_nobody_has", "crashed", "the file cannot be loaded: ModuleNotFoundError in line 1"),
        ("1 / 0", "crashed", "the file cannot be loaded: ZeroDivisionError in line 1"),
        ("while True: pass", "timeout", "the file cannot be loaded"),
        ("raise SystemExit", "crashed", "the file cannot be loaded: it called exit"),
        ("x = 1", "missing", "defines no"),
    ],
)
def test_a_file_that_cannot_be_loaded(sandbox, source, verdict, sentence):
    result = graded(sandbox, source)
    assert result.score == 0
    assert {check.verdict for check in result.checks if check.exercise != "RunningMoments.update"} == {verdict}
    assert sentence in (result.problem or result.checks[0].feedback)


def test_sleeping_a_little_in_every_call_ends_all_the_same(sandbox, monkeypatch):
    monkeypatch.setattr(grading, "CHECKS_SECONDS", 3.0)
    sleepy = "_advantage = lambda_advantage\ndef lambda_advantage(*a):\n    import time; time.sleep(1.2); return _advantage(*a)\n"
    result = graded(sandbox, f"{SOLUTION}\n{sleepy}")
    verdicts = [check.verdict for check in result.checks]
    assert "timeout" in verdicts and set(verdicts) <= {"passed", "timeout"}
    assert verdicts[-1] == "timeout" and "seconds that there are" in result.checks[-1].feedback
    assert result.problem is None


def test_without_a_seed_nothing_is_graded(sandbox):
    with pytest.raises(ValueError, match="Store.seed"):
        graded(sandbox, SOLUTION, seed=None)


def test_a_file_that_cannot_be_read(sandbox):
    result = grade(UNITS, submission(None, "the notebook is broken: save it again"), sandbox)
    assert result.problem == "the notebook is broken: save it again"
    assert {check.verdict for check in result.checks} == {"crashed"}


def test_printing_a_megabyte_changes_nothing(sandbox):
    loud = SOLUTION.replace("    ratio = ", "    import sys; print('x' * 10**6); print('y' * 10**6, file=sys.stderr)\n    ratio = ")
    assert loud != SOLUTION
    assert graded(sandbox, loud).score == TOPIC.max_score - sum(training.points for training in TOPIC.trainings)


def test_the_same_submission_gets_the_same_result_twice(sandbox):
    source = SOLUTION.replace("torch.randperm(count, generator=generator, device=generator.device)", "torch.randperm(count)")
    first, second = (graded(sandbox, source) for _ in range(2))
    assert first.checks == second.checks


def test_a_named_mistake_comes_with_its_hint(sandbox):
    result = graded(sandbox, SOLUTION.replace("torch.minimum", "torch.maximum"))
    wrong = [check for check in result.checks if check.verdict == "wrong"]
    assert {check.mistake for check in wrong} == {"takes the maximum"}
    assert all(check.hint for check in wrong)


def test_a_broken_check_is_the_graders_fault(sandbox):
    def check_that_is_broken(student, rng):
        """Nobody can pass this."""
        raise KeyError("oops")

    def check_that_trusts(student, rng):
        """The loss has an item."""
        expect(student.value_loss(*[__import__("torch").ones(3)] * 2).item() == 0, "it is not 0")

    checks = tuple(Check("value_loss", 1.0, function) for function in (check_that_is_broken, check_that_trusts))
    topic = dataclasses.replace(UNITS, exercises=("value_loss",), checks=checks)
    fine, odd = graded(sandbox, SOLUTION, topic), graded(sandbox, f"{SOLUTION}\ndef value_loss(value, target):\n    return 'zero'\n", topic)
    assert [check.verdict for check in fine.checks] == ["grader_fault", "passed"]
    assert [check.verdict for check in odd.checks] == ["grader_fault", "wrong"]
    assert fine.score == 1


def trained(sandbox, monkeypatch, scores, threshold=10.0, source=SOLUTION):
    """Grade with a training check whose seeds score as given; an exception is raised."""
    waiting = list(scores)

    def attempt(student, seed):
        score = waiting.pop(0)
        if isinstance(score, Exception):
            raise score
        return Attempt(score, 100, ((50, 1.0), (100, score)))

    figures = None if threshold is None else Figures("", {}, {}, {}, threshold, 0.01, 0.05)
    monkeypatch.setattr(grading, "calibrated", lambda *_: figures)
    topic = dataclasses.replace(UNITS, trainings=(Training("run", "It learns.", 3.0, attempt, "Task-v0"),))
    return graded(sandbox, source, topic).training[0]


@pytest.mark.parametrize(
    ("scores", "verdict", "seeds"),
    [
        ([11, 12], "passed", 2),
        ([9, 1, 2], "wrong", 3),
        ([11, 9, 12, 13], "passed", 4),
        ([11, 9, 8, 7, 6], "wrong", 5),
        ([11, 9] * 5 + [10], "passed", 11),
    ],
)
def test_training_takes_as_many_seeds_as_it_needs(sandbox, monkeypatch, scores, verdict, seeds):
    result = trained(sandbox, monkeypatch, scores)
    assert (result.verdict, len(result.seeds), result.score) == (verdict, seeds, 3.0 if verdict == "passed" else 0.0)
    assert len({seed.seed for seed in result.seeds}) == seeds


def test_training_that_fails_says_why(sandbox, monkeypatch):
    blocked = trained(sandbox, monkeypatch, [11, StudentError("missing", "entropy is not implemented yet", "entropy")])
    assert (blocked.verdict, blocked.score) == ("blocked", 0.0)
    assert "entropy" in blocked.feedback
    assert trained(sandbox, monkeypatch, [StudentError("violation", "it took too many steps")]).feedback == "it took too many steps"
    assert trained(sandbox, monkeypatch, [9, 1, 2]).feedback == "it reached 9, 1, 2; 10 is needed"
    assert trained(sandbox, monkeypatch, [float("nan")] * 3).verdict == "wrong"


def test_seeds_that_add_up_end_too(sandbox, monkeypatch):
    monkeypatch.setattr(grading, "TRAINING_FACTOR", 0)
    result = trained(sandbox, monkeypatch, [11, 12])
    assert (result.verdict, result.seeds) == ("timeout", ())
    assert "its seeds together" in result.feedback


def test_an_uncalibrated_training_check_is_the_graders_fault(sandbox, monkeypatch):
    result = trained(sandbox, monkeypatch, [], threshold=None)
    assert result.verdict == "grader_fault"
    assert "npfl139 calibrate ppo" in result.feedback


def test_a_fault_of_the_grader_is_never_charged(sandbox):
    result = fault(UNITS, submission(SOLUTION), Options(), "it died")
    assert {check.verdict for check in result.checks} == {"grader_fault"}
    assert result.problem is None


def test_lines_of_a_notebook_are_told_by_cell(sandbox):
    source = f"{SOLUTION}\n\ndef value_loss(value, target):\n    raise ValueError('in line 1')\n"
    notebook = replace(submission(source), filename="ppo.ipynb", cells=((1, 1), (SOLUTION.count("\n") + 2, 7)))
    result = grade(UNITS, notebook, sandbox)
    feedback = {check.feedback for check in result.checks if check.exercise == "value_loss"}
    assert feedback == {"ValueError in cell 7, line 3: in cell 1, line 1"}
