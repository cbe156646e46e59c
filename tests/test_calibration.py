import ast
import itertools
import json
import math
import os
import signal
import time
from collections import Counter
from multiprocessing import active_children
from unittest.mock import Mock

import msgspec
import pytest
import torch

from grader.contract import figures
from grader.contract.figures import Figures, Measured, calibrated, reference_band, stored
from grader.contract.registry import load
from grader.contract.spec import Attempt
from grader.grading import basis, thresholds
from grader.grading import calibrate as calibration
from grader.grading.calibrate import CAPABILITIES, REFERENCE, Run, calibrate
from grader.grading.graft import needs
from grader.grading.sequential import pass_probability
from grader.grading.thresholds import decided, interval, summary

TOPIC = load("ppo")
CARTPOLE = TOPIC.trainings[0].name


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Calibrate with made-up scores: the reference reaches 490 to 499, a mistake all of 100, others break down or pass as well.

    Return the runs as they are made.
    """
    made = []

    def results(runs, jobs):
        for run in runs:
            made.append(run)
            score = 490.0 + run.seed % 10 if run.variant == REFERENCE else {"takes the maximum": 100.0}.get(run.variant, 495.0)
            yield run, None if run.variant == "does not clip" else Attempt(score, 20, ((10, 1.0), (20, score)))

    for module in (calibration, figures):
        monkeypatch.setattr(module, "figures_path", lambda topic_name: tmp_path / f"{topic_name}.json")
    monkeypatch.setattr(calibration, "_measured", results)
    figures.forget()
    yield made
    figures.forget()


def test_a_calibration_is_stored_and_found(measured):
    assert calibrated("ppo", CARTPOLE) is None and reference_band("ppo", CARTPOLE) is None
    seen = []
    calibrate([TOPIC], seeds=10, mistake_seeds=5, jobs=1, progress=lambda label, total: seen.append(total))
    assert seen[-1] == len(seen) == len(measured)
    found = calibrated("ppo", CARTPOLE)
    # 5 % of the way from the reference's median 494.5 to the worst mistake's 100, below the worst run of 490; rounded down
    assert found.threshold == 470.0
    assert found.false_fail == 0.0 < found.false_fail_bound < 0.12
    assert found.mistakes["takes the maximum"].stopped == found.mistakes["does not clip"].stopped == 1.0
    assert found.mistakes["does not clip"].scores == dict.fromkeys(range(5))
    assert found.mistakes["halves the squared error"].stopped == 0.0
    assert reference_band("ppo", CARTPOLE) == [[10, 1.0, 1.0, 1.0], [20, 490.0, 494.5, 499.0]]
    text = summary(found)
    assert "threshold 470" in text and "490 to 499 in 10 on native, 10 on avx2, 10 on default" in text
    stopped = "of 51 mistakes that it may see it stops 2, with at least the probability behind each:"
    assert f"{stopped}\n  takes the maximum (0.53)\n  does not clip (0.53)" in text


def test_only_mistakes_that_training_can_see_are_trained_and_those_that_pass_only_once(measured):
    calibrate([TOPIC], seeds=2, mistake_seeds=5, jobs=1)
    runs = [run for run in measured if run.training == CARTPOLE and run.variant != REFERENCE]
    assert {run.capability for run in runs} == {"native"}
    used = needs(TOPIC, TOPIC.trainings[0])
    counted = Counter(run.variant for run in runs)
    assert counted.keys() == {mistake.name for mistake in TOPIC.mistakes if mistake.exercise in used} < {one.name for one in TOPIC.mistakes}
    assert {name for name, count in counted.items() if count == 5} == {"takes the maximum", "does not clip"}
    assert set(counted.values()) == {1, 5}
    del measured[:]
    calibrate([TOPIC], seeds=2, mistake_seeds=6, jobs=1)
    assert {run.variant for run in measured if run.training == CARTPOLE} == {"takes the maximum", "does not clip"}, (
        "only what stops goes on"
    )


def test_a_calibration_goes_on_where_it_stood(measured):
    calibrate([TOPIC], seeds=2, mistake_seeds=3, jobs=1)
    first = set(measured)
    measured.clear()
    calibrate([TOPIC], seeds=5, mistake_seeds=3, jobs=1)
    assert not first & set(measured)
    assert {(run.capability, run.seed) for run in measured} == set(itertools.product(CAPABILITIES, (2, 3, 4)))
    measured.clear()
    calibrate([TOPIC], seeds=4, mistake_seeds=2, jobs=1)
    assert measured == []
    assert len(calibrated("ppo", CARTPOLE).reference["native"]) == 5


def test_an_interruption_loses_nothing_that_was_measured(measured, monkeypatch):
    whole = calibration._measured

    def interrupted(runs, jobs):
        yield from itertools.islice(whole(runs, jobs), 7)
        raise KeyboardInterrupt

    monkeypatch.setattr(calibration, "_measured", interrupted)
    with pytest.raises(KeyboardInterrupt):
        calibrate([TOPIC], seeds=2, mistake_seeds=1, jobs=1)
    first = set(measured)
    monkeypatch.setattr(calibration, "_measured", whole)
    measured.clear()
    calibrate([TOPIC], seeds=2, mistake_seeds=1, jobs=1)
    assert len(first) == 7 and not first & set(measured)


def interrupted_as_from_a_terminal(run: Run) -> None:
    for process in (os.getpid(), os.getppid()):
        os.kill(process, signal.SIGINT)
    time.sleep(600)


@pytest.fixture
def interruptible():
    """A program that a script starts in the background ignores interruptions, and so would the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_what_is_being_trained_without_a_word(monkeypatch, capfd):
    monkeypatch.setattr(calibration, "_run", interrupted_as_from_a_terminal)
    with pytest.raises(KeyboardInterrupt):
        next(calibration._measured([Run("ppo", CARTPOLE, "native", REFERENCE, 0)], 1))
    assert not active_children()
    assert capfd.readouterr() == ("", "")


def test_the_command_says_what_becomes_of_an_interrupted_calibration(monkeypatch, command):
    monkeypatch.setattr(calibration, "calibrate", Mock(side_effect=KeyboardInterrupt))
    status, printed, _ = command("calibrate", "ppo")
    assert status == 130
    assert "Interrupted: the runs that ended are kept, and the same command goes on from there." in printed


def test_runs_of_another_machine_are_taken_over(measured, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    assert calibrate([TOPIC], seeds=4, mistake_seeds=1, jobs=1, out=elsewhere) == [elsewhere / "ppo.json"]
    assert calibrated("ppo", CARTPOLE) is None
    measured.clear()
    calibrate([TOPIC], seeds=4, mistake_seeds=1, jobs=1, also=[elsewhere])
    assert measured == []
    assert msgspec.to_builtins(calibrated("ppo", CARTPOLE)) == msgspec.to_builtins(stored(elsewhere / "ppo.json")[CARTPOLE])


def test_what_changed_is_measured_anew(measured, monkeypatch):
    calibrate([TOPIC], seeds=2, mistake_seeds=1, jobs=1)
    path = figures.figures_path("ppo")
    content = json.loads(path.read_text())
    content["trainings"][CARTPOLE]["mistakes"]["takes the maximum"]["edit"] = "another"
    path.write_text(json.dumps(content))
    measured.clear()
    calibrate([TOPIC], seeds=2, mistake_seeds=1, jobs=1)
    assert measured == [Run("ppo", CARTPOLE, "native", "takes the maximum", 0)]
    monkeypatch.setattr(calibration, "basis", lambda topic: "another")
    measured.clear()
    calibrate([TOPIC], seeds=2, mistake_seeds=0, jobs=1)
    assert len(measured) == 2 * len(CAPABILITIES) * len(TOPIC.trainings)


def test_a_file_that_is_none_is_told(tmp_path):
    (tmp_path / "ppo.json").write_text('{"topic": "ppo"}')
    with pytest.raises(ValueError, match=r"ppo\.json is not what this version of npfl139 calibrate writes"):
        stored(tmp_path / "ppo.json")


def test_what_no_run_rests_on_changes_no_basis(tmp_path):
    source = (
        '"""A module."""\n\n\n@check("f")\ndef check_f(student, rng):\n    """It does."""\n    import lent\n\n\n'
        'def attempt(student, seed):\n    """Try."""\n    return 1\n'
    )
    path = tmp_path / "module.py"
    path.write_text(source)
    whole = ast.unparse(basis._deciding(path))
    assert whole == "def attempt(student, seed):\n    return 1" and not list(basis._imported(path))
    path.write_text(source.replace("Try.", "Try it.").replace("It does.", "It does so.") + "# a comment\n")
    assert ast.unparse(basis._deciding(path)) == whole
    path.write_text(source.replace("return 1", "return 2"))
    assert ast.unparse(basis._deciding(path)) != whole


def test_the_basis_reaches_the_library_and_the_solutions_below_and_no_command_line():
    modules = basis._modules(["grader.topics.r2d2.checks", "solutions.r2d2"], "grader.topics.r2d2")
    assert {"solutions.transformed_rewards", "npfl139.envs.memory", "npfl139.rollout", "grader.contract.training"} < modules.keys()
    assert not {"npfl139.runs", "npfl139.cli", "grader.topics.r2d2.mistakes", "grader.grading.grade"} & modules.keys()
    assert basis.basis(load("r2d2")) == basis.basis(load("r2d2")) != basis.basis(TOPIC)


def of(reference: dict[str, list[float]], mistakes: dict[str, list[float | None]]) -> Figures:
    scores = {name: Measured("", dict(enumerate(values))) for name, values in mistakes.items()}
    return decided(Figures("", {name: dict(enumerate(values)) for name, values in reference.items()}, scores, {}))


def test_a_threshold_is_rounded_down():
    assert of({"native": [-200.0, -150.0, -152.0]}, {"none": [-1000.0] * 5}).threshold == -243.0
    assert of({"native": [0.5, 0.5]}, {}).threshold == 0.475


def test_every_instruction_set_has_its_say():
    good = {"native": [1.0] * 20, "avx2": [0.9] * 20, "default": [*[1.0] * 19, 0.8]}
    found = of(good, {"clips": [0.5] * 5, "breaks": [None] * 5, "hides": [1.0] * 3})
    assert found.threshold == 0.775  # the worst run of 0.8, less 5 % of the way from 1.0 to 0.5
    assert found.false_fail == 0 < found.false_fail_bound < thresholds.FALSE_FAIL
    assert found.false_fail_bound == pytest.approx(1 - pass_probability(0.05 ** (1 / 20)))
    assert of(good | {"avx2": [0.9] * 10}, {}).false_fail_bound == pytest.approx(1 - pass_probability(0.05 ** (1 / 10)))


def test_one_bad_run_in_thirty_two_does_not_lower_the_bar_but_a_second_does():
    good = [1.0] * 30
    assert of({"native": [*good, 0.9, 0.1]}, {}).threshold == 0.85
    assert of({"native": [*good[1:], 0.9, 0.1]}, {}).threshold == 0.05, "of thirty-one, whatever they are, none is passed over"
    found = of({"native": [*good, 0.2, 0.1]}, {})
    assert found.threshold == 0.15 and 0 < found.false_fail < found.false_fail_bound < thresholds.FALSE_FAIL


def test_power_is_stated_with_its_interval():
    found = of({"native": [1.0] * 60}, {"five": [0.0] * 5, "three": [0.0] * 3, "half": [0.0, 1.0], "passes": [1.0] * 3}).mistakes
    assert found["five"].stopped == found["five"].stopped_high == found["three"].stopped == 1.0
    assert found["five"].stopped_low == pytest.approx(1 - pass_probability(1 - 0.05 ** (1 / 5)))
    assert found["three"].stopped_low < 0.5 < found["five"].stopped_low
    assert found["half"].stopped == pytest.approx(1 - pass_probability(0.5))
    assert found["passes"].stopped == found["passes"].stopped_low == 0.0 < found["passes"].stopped_high < 1.0


@pytest.mark.parametrize(("count", "trials"), [(0, 20), (1, 20), (3, 60), (10, 11)])
def test_a_bound_is_where_so_few_or_so_many_become_improbable(count, trials):
    low, high = interval(count, trials)

    def probability(share, counts):
        return sum(math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in counts)

    assert probability(high, range(count + 1)) == pytest.approx(0.05, abs=1e-9)
    assert low == 0 if count == 0 else probability(low, range(count, trials + 1)) == pytest.approx(0.05, abs=1e-9)


def test_the_bounds_of_never_and_always_are_certain():
    assert interval(0, 5)[0] == 0.0 and interval(5, 5)[1] == 1.0


def capability() -> str:
    return torch.backends.cpu.get_cpu_capability()


def test_the_instruction_set_is_chosen_for_the_processes_only(monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    seen = {}
    for name in CAPABILITIES:
        with calibration._pool(name, 1) as pool:
            seen[name] = pool.submit(capability).result()
    assert seen["default"] == "DEFAULT"
    monkeypatch.delenv("ATEN_CPU_CAPABILITY")
    with calibration._pool("native", 1) as pool:
        assert pool.submit(capability).result() == seen["native"]


def test_a_curve_begins_where_every_curve_has_begun():
    assert thresholds._band([[(10, 0.0), (20, 1.0)], [(20, 3.0)]])[0][0] == 20
    assert thresholds._band([]) == []
