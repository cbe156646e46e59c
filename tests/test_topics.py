"""What every topic must keep: full marks for what is correct, a named mistake for what is not, nothing for the skeleton."""

import dataclasses
from pathlib import Path

import pytest

from grader.contract.figures import calibrated
from grader.contract.registry import available, load
from grader.contract.spec import Mistake, Topic
from grader.grading.calibrate import CAPABILITIES
from grader.grading.diagnosis import Recorded, likely_mistakes, trusted
from grader.grading.grade import verdict_of
from grader.grading.graft import needs
from grader.grading.thresholds import FALSE_FAIL
from grader.release.skeleton import make_skeleton

TOPICS = [load(name) for name in available()]
SEED, OTHER_SEEDS = 0, (1, 2, 3)

each_topic = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
each_mistake = pytest.mark.parametrize(
    ("topic", "mistake"),
    [pytest.param(topic, mistake, id=f"{topic.name}: {mistake.name}") for topic in TOPICS for mistake in topic.mistakes],
)
each_variant = pytest.mark.parametrize(
    ("topic", "path"),
    [pytest.param(topic, path, id=f"{topic.name}-{path.stem}") for topic in TOPICS for path in topic.variants],
)


def verdicts(topic: Topic, source: str, seed: int = SEED) -> dict[str, tuple[str, str | None]]:
    student = trusted(topic, source, topic.solution.name)
    return {check.name: verdict_of(topic, check, student, seed) for check in topic.checks}


@each_topic
@pytest.mark.parametrize("seed", [SEED, *OTHER_SEEDS])
def test_the_solution_passes_every_check(topic: Topic, seed: int):
    failed = {name: verdict for name, verdict in verdicts(topic, topic.solution.read_text(), seed).items() if verdict[0] != "passed"}
    assert not failed


@each_variant
def test_a_correct_variant_passes_every_check(topic: Topic, path: Path):
    source = topic.solution.read_text().split("if __name__ ==")[0] + "\n\n" + path.read_text()
    failed = {name: verdict for name, verdict in verdicts(topic, source).items() if verdict[0] != "passed"}
    assert not failed


@each_mistake
@pytest.mark.filterwarnings("ignore")  # what a mistake makes a library warn of is news to nobody
def test_a_mistake_loses_points_and_is_named(topic: Topic, mistake: Mistake):
    student = trusted(topic, mistake.edited(topic.solution.read_text()), topic.solution.name)
    answers, failed = {}, []
    for check in topic.checks:
        if check.exercise == mistake.exercise:
            recorded = Recorded(student)
            verdict, _ = verdict_of(topic, check, recorded, SEED)
            answers[check.name] = recorded.answers
            failed += [check.name] if verdict == "wrong" else []
    assert failed, "no check of the exercise fails"
    for seed in OTHER_SEEDS:  # one that some draws hide would cost points or not by luck
        own = (check for check in topic.checks if check.exercise == mistake.exercise)
        assert any(verdict_of(topic, check, student, seed)[0] != "passed" for check in own), f"no check fails with seed {seed}"
    likely = likely_mistakes(topic, mistake.exercise, answers, SEED)
    assert {likely[name].mistake.name for name in failed} == {mistake.name}
    assert mistake.hint


CONSTANTS = ("None", "float('nan')", "0", "1.0", "-1", "10**400", "'text'", "[]", "{}", "True", "[[1.0], [1.0, 2.0]]", "[0, 0]", "[0] * 6",
             "object()", "torch.zeros(0)", "torch.zeros(())", "torch.zeros(2)", "torch.full((2, 2), 1e38)", "torch.tensor(1j)")  # fmt: skip


@pytest.mark.parametrize(
    ("topic", "exercise"), [pytest.param(topic, exercise, id=exercise) for topic in TOPICS for exercise in topic.exercises]
)
def test_an_exercise_that_returns_a_constant_earns_nothing(topic: Topic, exercise: str):
    for constant in CONSTANTS:
        source = f"{topic.solution.read_text()}\n{exercise} = lambda *arguments, **keywords: {constant}\n"
        student = trusted(topic, source, topic.solution.name)
        found = {check.name: verdict_of(topic, check, student, SEED)[0] for check in topic.checks if check.exercise == exercise}
        assert set(found.values()) <= {"wrong", "crashed"}, f"returning {constant}: {found}"


@each_topic
def test_the_untouched_skeleton_misses_every_exercise(topic: Topic):
    found = verdicts(topic, make_skeleton(topic.solution.read_text(), topic.exercises))
    exercises = {check.name: check.exercise for check in topic.checks}
    assert {name: verdict for name, (verdict, _) in found.items()} == dict.fromkeys(exercises, "missing")


@each_topic
def test_the_topic_is_complete(topic: Topic):
    assert len({check.name for check in topic.checks}) == len(topic.checks)
    assert len({mistake.name for mistake in topic.mistakes}) == len(topic.mistakes)
    assert len(topic.variants) >= 5
    assert (topic.solution.parent.parent / "lectures" / f"{topic.name}.md").exists()
    assert set(topic.prerequisites) < set(available())


@each_topic
def test_every_training_check_is_calibrated(topic: Topic):
    for training in topic.trainings:
        figures = calibrated(topic.name, training.name)
        assert figures is not None, f"run npfl139 calibrate {topic.name}"
        assert figures.reference.keys() == set(CAPABILITIES)
        used = needs(topic, training)
        assert figures.mistakes.keys() == {mistake.name for mistake in topic.mistakes if mistake.exercise in used}
        assert figures.false_fail_bound <= FALSE_FAIL


def test_an_edit_must_occur_once_and_change_something():
    source = "def f():\n    return 1 + 1\n\n\ndef g():\n    return 1\n"
    mistake = Mistake("adds nothing", "g", "1", "2", "hint")
    assert mistake.edited(source) == source.replace("return 1\n", "return 2\n")
    for field, value in (("exercise", "f"), ("new", "1"), ("old", "3")):
        with pytest.raises(ValueError, match="must occur exactly once"):
            dataclasses.replace(mistake, **{field: value}).edited(source)
    with pytest.raises(ValueError, match="defines h 0 times"):
        dataclasses.replace(mistake, exercise="h").edited(source)
