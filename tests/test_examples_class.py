"""The bundled class is what the parts and the assignment make it, and gets the marks that its authors deserve."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from grader.classroom.intake import collect
from grader.contract.registry import load
from grader.contract.student import StudentError
from grader.grading.grade import grade, verdict_of
from grader.grading.remote import Sandboxed
from grader.inside.limits import Limits
from grader.records import Options

ROOT = Path(__file__).resolve().parent.parent
CLASS = ROOT / "examples" / "class"
TOPIC = load("ppo")
SUBMISSIONS = {submission.student: submission for submission in collect([CLASS], ["ppo"])}
UNNAMED = None

# What each student got wrong: the exercises, and the mistake that the feedback names. Whoever is not listed got everything right.
WRONG = {
    "carl": {"normalized": "divides by the number of entries less one"},
    "dora": {"lambda_advantage": "treats truncation as termination", "minibatches": "drops the last minibatch when it is smaller"},
    "emmy": {"clipped_surrogate": "returns a loss in place of the objective"},
    "felix": {
        "entropy": "takes the logarithm of probabilities that underflow",
        "tanh_gaussian_log_prob": "computes 1 - tanh² in floating point",
        "RunningMoments.update": UNNAMED,  # the digits that are left after a cancellation are another noise in each formulation
    },
    "greta": {
        "lambda_advantage": "lets the next episode leak into the advantages of this one",
        "lambda_return": "trains the values towards the advantages",
    },
}


def make_class():
    specification = importlib.util.spec_from_file_location("make_class", ROOT / "examples" / "make_class.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def graded(student, sandbox):
    return grade(TOPIC, SUBMISSIONS[student], sandbox, Options(training=False))


def test_the_class_is_what_the_generator_makes():
    expected = make_class().class_files()
    found = {str(path.relative_to(CLASS)): path.read_text(encoding="utf-8") for path in CLASS.rglob("*") if path.is_file()}
    assert found == expected, "run: python -m examples.make_class"


def test_the_generator_notices_that_the_assignment_has_changed():
    module = make_class()
    with pytest.raises(ValueError, match="must occur exactly once, not 0 times: the assignment has changed"):
        module.replaced("text", "something else", "")


def test_every_kind_of_submission_is_there():
    assert len(SUBMISSIONS) == 11
    assert Counter(Path(submission.filename).suffix for submission in SUBMISSIONS.values()) == {".py": 10, ".ipynb": 1}


@pytest.mark.parametrize("student", ["ada", "blaise", *WRONG])
def test_students_lose_exactly_what_they_got_wrong(student, sandbox):
    result = graded(student, sandbox)
    assert result.problem is None
    failed = {}
    for check in result.checks:
        if check.verdict != "passed":
            assert check.verdict == "wrong"
            failed.setdefault(check.exercise, set()).add(check.mistake)
    assert failed == {exercise: {mistake} for exercise, mistake in WRONG.get(student, {}).items()}


def test_the_untouched_skeleton_gets_nothing(sandbox):
    result = graded("hugo", sandbox)
    assert result.score == 0 and {check.verdict for check in result.checks} == {"missing"}


def test_the_syntax_error_is_explained(sandbox):
    result = graded("iris", sandbox)
    assert result.score == 0
    assert "'(' was never closed" in result.problem


def test_the_endless_loop_costs_one_check_only(sandbox):
    verdicts = Counter()
    with Sandboxed(sandbox, Limits(seconds=2.0)) as student:
        student.load(source=SUBMISSIONS["jules"].source, name="ppo", filename="ppo.py", prerequisites={})
        for check in sorted(TOPIC.checks, key=lambda check: check.name == "check_squashed_log_prob_far_out"):  # the loop comes last
            verdicts[verdict_of(TOPIC, check, student, 0)[0]] += 1
    assert verdicts == {"passed": len(TOPIC.checks) - 1, "timeout": 1}


def test_the_cheater_gets_what_the_honest_functions_earn(sandbox):
    result = graded("mallory", sandbox)
    earned = Counter(check.exercise for check in result.checks if check.score > 0)
    assert set(earned) == {"lambda_return", "value_loss"}
    assert result.score == sum(check.points for check in TOPIC.checks if check.exercise in earned)
    assert not any(check.verdict == "grader_fault" for check in result.checks)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_cheaters_controller_does_not_balance_the_pole(sandbox, seed):
    with Sandboxed(sandbox, Limits()) as student:
        student.load(source=SUBMISSIONS["mallory"].source, name="ppo", filename="ppo.py", prerequisites={})
        try:
            score = TOPIC.trainings[0].attempt(student, seed).score
        except StudentError as error:
            assert error.verdict != "grader_fault"
        else:
            assert score < 200  # under relabelling the signs mean nothing; learners reach 500
