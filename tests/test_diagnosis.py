import numpy as np
import torch

from grader.contract.registry import load
from grader.grading.diagnosis import Recorded, likely_mistakes, same_answers, trusted
from grader.grading.grade import verdict_of
from grader.inside.protocol import Handle

TOPIC = load("ppo")
SOLUTION = TOPIC.solution.read_text()


def diagnosed(source, exercise, seed=0):
    """Return {check: name of the mistake} for the checks of the exercise that a source fails."""
    student, answers, failed = trusted(TOPIC, source, "submission.py"), {}, []
    for check in TOPIC.checks:
        if check.exercise == exercise:
            recorded = Recorded(student)
            failed += [check.name] if verdict_of(TOPIC, check, recorded, seed)[0] != "passed" else []
            answers[check.name] = recorded.answers
    likely = likely_mistakes(TOPIC, exercise, answers, seed)
    return {name: (found := likely.get(name)) and found.mistake.name for name in failed}


def test_a_mistake_in_another_style_is_named_the_same():
    looped = """
def clipped_surrogate(log_prob_new, log_prob_old, advantage, clip_epsilon):
    total = 0.0
    for new, old, estimate in zip(log_prob_new.double(), log_prob_old.double(), advantage.double()):
        ratio = torch.exp(new - old)
        total = total + torch.max(ratio * estimate, torch.clip(ratio, 1 - clip_epsilon, 1 + clip_epsilon) * estimate)
    return total / len(advantage)
"""
    found = diagnosed(SOLUTION.split("if __name__")[0] + looped, "clipped_surrogate")
    assert set(found.values()) == {"takes the maximum"}


def test_an_unknown_mistake_gets_no_name():
    found = diagnosed(SOLUTION.replace("return advantage + value", "return advantage + 2 * value"), "lambda_return")
    assert found and set(found.values()) == {None}


def test_a_correct_exercise_is_not_diagnosed():
    assert diagnosed(SOLUTION, "value_loss") == {}


def test_the_catalogue_has_one_mistake_a_name():
    assert len({mistake.name for mistake in TOPIC.mistakes}) == len(TOPIC.mistakes) >= 15


def test_answers_are_the_same_up_to_rounding_and_nothing_else():
    ones = torch.ones(3)
    assert same_answers([ones, 1.0, None, "a", Handle(1)], [np.ones(3) * (1 + 1e-6), 1, None, "a", Handle(1)])
    assert same_answers({"mean": float("nan")}, {"mean": torch.tensor(float("nan"))})
    for other in (ones[:2], ones[None], ones + 1e-3, None, "1", [1.0, 1.0, 1.0], {"mean": ones}, Handle(1)):
        assert not same_answers(ones, other)
    assert not same_answers({"a": 1}, {"b": 1})
    assert not same_answers([1, 2], [1])
    assert not same_answers(2**70, 2**70 + 1)


def test_every_answer_must_be_the_mistakes():
    """One check that agrees is no proof: a second difference takes the name away."""
    swapped = SOLUTION.replace("torch.minimum(ratio * advantage, clipped_ratio * advantage).mean()",
                               "torch.maximum(ratio * advantage, clipped_ratio * advantage).mean()")  # fmt: skip
    assert set(diagnosed(swapped, "clipped_surrogate").values()) == {"takes the maximum"}
    also = swapped.replace("torch.maximum(ratio * advantage", "torch.maximum(1.001 * ratio * advantage")
    found = diagnosed(also, "clipped_surrogate")
    assert found and set(found.values()) == {None}


def test_zeros_and_exceptions_prove_nothing():
    for body in ("torch.zeros(())", "1 / 0"):
        source = SOLUTION.split("if __name__")[0] + f"\n\ndef clipped_surrogate(*_):\n    return {body}\n"
        assert set(diagnosed(source, "clipped_surrogate").values()) <= {None}


def test_how_often_a_given_function_is_called_is_an_answer():
    counted = Recorded(trusted(TOPIC, "def thrice(f):\n    return f(1.0) + f(2.0) + f(3.0)\n", "f.py"))
    assert counted.thrice(lambda x: 2 * x) == 12.0
    assert counted.answers == [[12.0, 3]]


def test_what_equals_a_mistake_only_at_first_does_not_get_its_name():
    topic = load("transformed_rewards")
    source = topic.solution.read_text().replace("if change <= tolerance:", "if change <= tolerance * current.abs().max():")
    student, answers = trusted(topic, source, "submission.py"), {}
    for check in topic.checks:
        if check.exercise == "fixed_point":
            recorded = Recorded(student)
            verdict_of(topic, check, recorded, 12345)
            answers[check.name] = recorded.answers
    assert likely_mistakes(topic, "fixed_point", answers, 12345) == {}
