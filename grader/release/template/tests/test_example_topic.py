"""What every topic must keep: full marks for what is correct, a named mistake for what is not, nothing for the skeleton."""

import pytest

from grader.contract.figures import calibrated
from grader.contract.registry import load
from grader.grading.diagnosis import Recorded, likely_mistakes, trusted
from grader.grading.grade import verdict_of
from grader.grading.graft import needs
from grader.release.bundle import assignment_files
from npfl139.equations import cited, equations_of

TOPIC = load("example_topic")
SOLUTION = TOPIC.solution.read_text(encoding="utf-8")


def verdicts(source: str, seed: int = 0) -> dict[str, str]:
    student = trusted(TOPIC, source, TOPIC.solution.name)
    return {check.name: verdict_of(TOPIC, check, student, seed)[0] for check in TOPIC.checks}


@pytest.mark.parametrize("seed", range(5))
def test_the_solution_passes_every_check(seed):
    assert set(verdicts(SOLUTION, seed).values()) == {"passed"}


@pytest.mark.parametrize("path", TOPIC.variants, ids=lambda path: path.stem)
def test_a_correct_variant_passes_every_check(path):
    source = SOLUTION.split("if __name__ ==")[0] + path.read_text(encoding="utf-8")
    assert set(verdicts(source).values()) == {"passed"}


@pytest.mark.parametrize("mistake", TOPIC.mistakes, ids=lambda mistake: mistake.name)
def test_a_mistake_loses_points_and_is_named(mistake):
    student, answers, failed = trusted(TOPIC, mistake.edited(SOLUTION), TOPIC.solution.name), {}, []
    for check in (check for check in TOPIC.checks if check.exercise == mistake.exercise):
        recorded = Recorded(student)
        failed += [check.name] if verdict_of(TOPIC, check, recorded, 0)[0] == "wrong" else []
        answers[check.name] = recorded.answers
    assert failed
    likely = likely_mistakes(TOPIC, mistake.exercise, answers, 0)
    assert {likely[name].mistake.name for name in failed} == {mistake.name}


def test_the_untouched_skeleton_misses_every_exercise():
    assert set(verdicts(assignment_files(TOPIC)["example_topic.py"]).values()) == {"missing"}


def test_the_assignments_are_what_the_generator_makes():
    folder = TOPIC.solution.parent.parent / "assignments"
    for name, text in assignment_files(TOPIC).items():
        assert (folder / name).read_text(encoding="utf-8") == text, "run npfl139 release"


def test_every_label_that_is_cited_is_an_equation_of_the_lecture():
    lecture = TOPIC.solution.parent.parent / "lectures" / "example_topic.md"
    labels = {equation.label for equation in equations_of(lecture.read_text(encoding="utf-8"))}
    assert {label for label in cited(SOLUTION) if label.startswith("example_topic:")} <= labels


@pytest.mark.parametrize("training", TOPIC.trainings, ids=lambda training: training.name)
def test_a_training_check_is_calibrated_and_the_solution_passes_it(training):
    figures = calibrated(TOPIC.name, training.name)
    assert figures is not None, "run npfl139 calibrate example_topic"
    seen = {mistake.name for mistake in TOPIC.mistakes if mistake.exercise in needs(TOPIC, training)}
    assert figures.mistakes.keys() == seen, "run npfl139 calibrate example_topic"
    assert training.attempt(trusted(TOPIC, SOLUTION, TOPIC.solution.name), seed=1).score >= figures.threshold
