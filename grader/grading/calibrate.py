"""Thresholds that are measured: the reference and the catalogued mistakes, trained over many seeds.

The per-seed threshold lies below what the reference reached, on every instruction set, by a margin of MARGIN of the distance
between the reference's median and the worst mistake's. How many of the reference's worst runs are passed over is decided by the
number of runs alone: as many as keep the probability that a correct submission fails below FALSE_FAIL, with 95 % confidence
(the tolerance limit of Wilks 1941), because two bad runs in sixty must not lower the bar for everybody. From the share of seeds
that pass follow, by `grader.grading.sequential`, the probability that a correct submission fails and that each mistake passes.
"""

import json
import math
import os
import statistics
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from grader.contract.expect import Wrong
from grader.contract.figures import figures_path, forget
from grader.contract.registry import load
from grader.contract.spec import Topic, Training
from grader.contract.student import StudentError
from grader.grading.diagnosis import trusted
from grader.grading.sequential import pass_probability, upper_bound
from npfl139.seeding import derived_seed

__all__ = ["CAPABILITIES", "calibrate", "summary"]

CAPABILITIES = ("native", "avx2", "default")  # values of ATEN_CPU_CAPABILITY; instruction sets change trajectories
MARGIN = 0.05
FALSE_FAIL = 0.015
BAND_QUANTILES = (0.05, 0.5, 0.95)
REFERENCE = "reference"


def calibrate(
    topic: Topic,
    seeds: int,
    jobs: int,
    mistake_seeds: int,
    progress: Callable[[str, int], None] = lambda label, total: None,
    out: Path | None = None,
) -> Path:
    """Measure every training check of a topic, store the figures, return where.

    Args:
        seeds: seeds of the reference for each of the instruction sets.
        jobs: processes.
        mistake_seeds: seeds of each mistake; a few, since they only tell which ones the unit checks must catch alone.
        progress: called with (label, number of runs in all) after each run.
        out: the file to write, by default the one beside the topic's checks.
    """
    # Other seeds on each instruction set: mostly one seed gives the same score on all, and the runs count as independent ones.
    own = {capability: range(seeds * index, seeds * (index + 1)) for index, capability in enumerate(CAPABILITIES)}
    runs = [(capability, REFERENCE, seed) for capability in CAPABILITIES for seed in own[capability]]
    runs += [("native", mistake.name, seed) for mistake in topic.mistakes for seed in range(mistake_seeds)]
    results: dict[tuple, dict] = {}
    for capability in CAPABILITIES:
        chosen = [(training.name, *run) for training in topic.trainings for run in runs if run[0] == capability]
        for run, result in zip(chosen, _measured(topic.name, chosen, capability, jobs), strict=True):
            results[run] = result
            progress(f"{run[0]}: {run[2]}", len(runs) * len(topic.trainings))
    trainings = {training.name: _figures(training, results) for training in topic.trainings}
    path = out or figures_path(topic.name)
    stored = {"topic": topic.name, "versions": {"torch": torch.__version__, "numpy": np.__version__}, "trainings": trainings}
    path.write_text(json.dumps(stored, indent=1) + "\n")
    forget()
    return path


def summary(figures: dict) -> str:
    """Return the figures of one training check in a few lines for the terminal."""
    reference = [score for scores in figures["reference"].values() for score in scores]
    lines = [
        f"threshold {figures['threshold']:.4g}; "
        f"the reference reached {min(reference):.4g} to {max(reference):.4g} over {len(reference)} runs",
        f"a correct submission fails with probability {figures['false_fail']:.2g} "
        f"(at most {figures['false_fail_bound']:.2g} with 95 % confidence)",
    ]
    passing = [f"{name} ({mistake['pass']:.2g})" for name, mistake in figures["mistakes"].items() if mistake["pass"] > 0.01]
    lines.append(f"mistakes that it may let pass, which the unit checks must catch: {', '.join(passing) or 'none'}")
    return "\n".join(lines)


def _measured(topic_name: str, runs: list[tuple], capability: str, jobs: int) -> Iterable[dict]:
    """Yield the results of the runs in order, measured in processes that use the given instruction set."""
    previous = os.environ.pop("ATEN_CPU_CAPABILITY", None)
    if capability != "native":
        os.environ["ATEN_CPU_CAPABILITY"] = capability
    try:
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            yield from pool.map(_run, [topic_name] * len(runs), *zip(*runs, strict=True)) if runs else ()
    finally:
        os.environ.pop("ATEN_CPU_CAPABILITY", None)
        if previous is not None:
            os.environ["ATEN_CPU_CAPABILITY"] = previous


def _run(topic_name: str, training_name: str, capability: str, variant: str, seed: int) -> dict:
    """Return {"score", "curve"} of one run; a variant that breaks down scores minus infinity."""
    torch.set_num_threads(1)
    topic = load(topic_name)
    training = next(training for training in topic.trainings if training.name == training_name)
    source = topic.solution.read_text()
    if variant != REFERENCE:
        source = next(mistake for mistake in topic.mistakes if mistake.name == variant).edited(source)
    try:
        attempt = training.attempt(trusted(topic, source, topic.solution.name), derived_seed(seed, "calibration") % 2**31)
    except (StudentError, Wrong):
        if variant == REFERENCE:
            raise
        return {"score": -math.inf, "curve": ()}
    return {"score": attempt.score, "curve": attempt.curve}


def _figures(training: Training, results: dict[tuple, dict]) -> dict:
    of_training = {run[1:]: result for run, result in results.items() if run[0] == training.name}
    reference: dict[str, list[float]] = {}
    mistakes: dict[str, list[float]] = {}
    for (capability, variant, _), result in of_training.items():
        scores = reference.setdefault(capability, []) if variant == REFERENCE else mistakes.setdefault(variant, [])
        scores.append(result["score"])
    band = _band([result["curve"] for run, result in of_training.items() if run[1] == REFERENCE])
    return decided(reference, mistakes) | {"band": band}


def decided(reference: dict[str, list[float]], mistakes: dict[str, list[float]]) -> dict:
    """Return the threshold that follows from the scores, and how often it errs.

    Args:
        reference: the scores by instruction set.
        mistakes: the scores by name of the mistake; minus infinity where it broke down.
    """
    correct = [score for scores in reference.values() for score in scores]
    threshold = _threshold(correct, mistakes)
    failures = sum(score < threshold for score in correct)
    return {
        "threshold": threshold,
        "false_fail": 1 - pass_probability(1 - failures / len(correct)),
        "false_fail_bound": _false_fail_bound(failures, len(correct)),
        "reference": reference,
        "mistakes": {
            name: {"scores": [score if math.isfinite(score) else None for score in scores], "pass": _pass(scores, threshold)}
            for name, scores in mistakes.items()
        },
    }


def _threshold(correct: list[float], mistakes: dict[str, list[float]]) -> float:
    """Return the threshold, rounded down to three significant digits."""
    finite = [statistics.median(scores) for scores in mistakes.values() if all(map(math.isfinite, scores))]
    median = statistics.median(correct)
    passed_over = sum(_false_fail_bound(failures, len(correct)) <= FALSE_FAIL for failures in range(1, len(correct)))
    threshold = sorted(correct)[passed_over] - MARGIN * (median - min(finite, default=median))
    digits = 2 - math.floor(math.log10(abs(threshold))) if threshold else 0
    return math.floor(threshold * 10**digits) / 10**digits


def _false_fail_bound(failures: int, runs: int) -> float:
    """Return how probable it is at most, with 95 % confidence, that a correct submission fails."""
    return 1 - pass_probability(1 - upper_bound(failures, runs))


def _pass(scores: list[float], threshold: float) -> float:
    return pass_probability(sum(score >= threshold for score in scores) / len(scores))


def _band(curves: list[tuple[tuple[int, float], ...]]) -> list[list[float]]:
    """Return [steps, low, median, high] where every curve has begun, interpolated on the steps of the first curve."""
    arrays = [np.array(curve) for curve in curves if curve]
    if not arrays:
        return []
    grid = [steps for steps in arrays[0][:, 0] if all(curve[0, 0] <= steps for curve in arrays)]
    rows = np.array([np.interp(grid, curve[:, 0], curve[:, 1]) for curve in arrays])
    return [[int(steps), *np.round(np.quantile(rows[:, column], BAND_QUANTILES), 4).tolist()] for column, steps in enumerate(grid)]
