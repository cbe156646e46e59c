import math
import os

import pytest

from grader.contract import figures
from grader.contract.figures import calibrated, reference_band
from grader.contract.registry import load
from grader.grading import calibrate as calibration
from grader.grading.calibrate import calibrate, decided, summary

TOPIC = load("ppo")


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Calibrate with made-up scores: the reference reaches 490 to 499, a mistake all of 100, others break down or pass as well."""

    def results(topic_name, runs, capability, jobs):
        for training_name, _, variant, seed in runs:
            score = (
                490.0 + seed % 10
                if variant == "reference"
                else {"takes the maximum": 100.0, "does not clip": -math.inf}.get(variant, 495.0)
            )
            yield {"score": score, "curve": ((10, 1.0), (20, score))}

    for module in (calibration, figures):
        monkeypatch.setattr(module, "figures_path", lambda topic_name: tmp_path / f"{topic_name}.json")
    monkeypatch.setattr(calibration, "_measured", results)
    figures.forget()
    yield tmp_path
    figures.forget()


def test_a_calibration_is_stored_and_found(measured):
    name = TOPIC.trainings[0].name
    assert calibrated("ppo", name) is None and reference_band("ppo", name) is None
    seen = []
    calibrate(TOPIC, seeds=10, jobs=1, mistake_seeds=2, progress=lambda label, total: seen.append(total))
    assert set(seen) == {len(seen)}
    figures = calibrated("ppo", name)
    # 5 % of the way from the reference's median 494.5 to the worst mistake's 100, below the worst run of 490; rounded down
    assert figures["threshold"] == 470.0
    assert figures["false_fail"] == 0.0 < figures["false_fail_bound"] < 0.03
    assert figures["mistakes"]["takes the maximum"]["pass"] == 0.0
    assert figures["mistakes"]["does not clip"] == {"scores": [None] * 2, "pass": 0.0}
    assert figures["mistakes"]["halves the squared error"]["pass"] == 1.0
    assert reference_band("ppo", name) == [[10, 1.0, 1.0, 1.0], [20, 490.0, 494.5, 499.0]]
    text = summary(figures)
    assert "threshold 470" in text and "490 to 499 over 30 runs" in text
    assert "halves the squared error (1)" in text and "takes the maximum" not in text


def test_a_threshold_of_negative_scores_is_rounded_down(measured):
    assert calibration._threshold([-200.0, -150.0, -152.0], {"none": [-1000.0] * 5}) == -243.0
    assert calibration._threshold([0.5, 0.5], {}) == 0.5


def test_two_bad_runs_in_sixty_do_not_lower_the_bar():
    good = {"native": [1.0] * 20, "avx2": [0.9] * 19 + [0.1], "default": [0.2] + [1.0] * 19}
    figures = decided(good, {"clips": [0.5] * 3, "breaks": [-math.inf] * 3})
    assert figures["threshold"] == 0.875  # 0.9, the third worst of 60, less 5 % of the way from 1.0 to 0.5
    assert 0 < figures["false_fail"] < figures["false_fail_bound"] < calibration.FALSE_FAIL
    assert figures["mistakes"]["clips"]["pass"] == figures["mistakes"]["breaks"]["pass"] == 0
    worse = decided(good | {"native": [0.3] + [1.0] * 19}, {"clips": [0.5] * 3})
    assert worse["threshold"] == 0.274  # a third one does: 0.3 less 0.025, rounded down


def test_the_instruction_set_is_chosen_for_the_processes_only(monkeypatch):
    seen = []

    class Pool:
        def __init__(self, *_):
            seen.append(os.environ.get("ATEN_CPU_CAPABILITY"))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def map(self, function, *columns):
            return list(zip(*columns, strict=True))

    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx512")
    monkeypatch.setattr(calibration, "ProcessPoolExecutor", Pool)
    for capability in calibration.CAPABILITIES:
        measured = list(calibration._measured("ppo", [("run", capability, "reference", 0)], capability, 1))
        assert measured == [("ppo", "run", capability, "reference", 0)]
    assert seen == [None, "avx2", "default"]
    assert os.environ["ATEN_CPU_CAPABILITY"] == "avx512"


def test_a_curve_begins_where_every_curve_has_begun():
    assert calibration._band([((10, 0.0), (20, 1.0)), ((20, 3.0),)])[0][0] == 20
    assert calibration._band([]) == []
