"""The reference and the catalogued mistakes, trained over many seeds on every instruction set.

Runs are kept as long as what they rest on stays as it is, so that a calibration that was interrupted, or asks for more seeds, goes on
where it stood. What follows from them is decided in `grader.grading.thresholds`.
"""

import hashlib
import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import msgspec
import torch

from grader.contract.expect import Wrong
from grader.contract.figures import Calibration, Figures, Measured, figures_path, forget, stored
from grader.contract.registry import load
from grader.contract.spec import Attempt, Mistake, Topic, Training
from grader.contract.student import StudentError
from grader.grading.basis import basis
from grader.grading.diagnosis import trusted
from grader.grading.graft import needs
from grader.grading.thresholds import decided
from npfl139.files import write_atomically
from npfl139.seeding import derived_seed

__all__ = ["CAPABILITIES", "calibrate"]

CAPABILITIES = ("native", "avx2", "default")  # values of ATEN_CPU_CAPABILITY; instruction sets change trajectories
CURVES = 20  # seeds on each instruction set whose curves are kept
PAUSE = 5.0  # seconds between two writes
REFERENCE = "reference"


@dataclass(frozen=True)
class Run:
    """One seed of the reference or of a mistake, to be trained."""

    topic: str
    training: str
    capability: str
    variant: str  # REFERENCE or the name of a mistake
    seed: int


def calibrate(
    topics: Iterable[Topic],
    seeds: int,
    mistake_seeds: int,
    jobs: int,
    progress: Callable[[str, int], None] = lambda label, total: None,
    out: Path | None = None,
    also: Iterable[Path] = (),
) -> list[Path]:
    """Measure every training check of the topics, store the figures, return the files.

    Args:
        seeds: seeds of the reference on each instruction set.
        mistake_seeds: seeds of each mistake of an exercise that the check uses, until one passes: then it is not surely stopped.
        jobs: processes, which serve all topics together.
        progress: called with (label, number of runs in all) after each run.
        out: the folder of the files to write, TOPIC.json each; by default they lie beside the topics' checks.
        also: folders of such files, whose runs are taken over; they may come from other machines.

    Raises:
        ValueError: a file cannot be read.
    """
    folders = [*also, *([out] if out else [])]
    files = [_File(topic, folders, out / f"{topic.name}.json" if out else figures_path(topic.name)) for topic in topics]
    by_topic = {file.topic.name: file for file in files}
    done = 0
    try:
        while runs := [run for file in files for run in file.missing(seeds, mistake_seeds)]:
            runs.sort(key=lambda run: (run.seed, -by_topic[run.topic].trainings[run.training].seconds))
            with closing(_measured(runs, jobs)) as measured:
                for run, attempt in measured:
                    by_topic[run.topic].add(run, attempt)
                    progress(f"{run.training}: {run.variant}", done + len(runs))
            done += len(runs)
            for file in files:
                file.write()
    finally:
        for file in files:
            file.write()
    forget()
    return [file.path for file in files]


class _File:
    """The figures of a topic as they grow."""

    def __init__(self, topic: Topic, folders: Iterable[Path], path: Path):
        self.topic, self.path, self.written = topic, path, time.monotonic()
        self.trainings = {training.name: training for training in topic.trainings}
        self.basis = basis(topic)
        self.figures = {training.name: self._begun(training) for training in topic.trainings}
        for source in (figures_path(topic.name), *(folder / f"{topic.name}.json" for folder in folders)):
            for name, figures in stored(source).items():
                if name in self.figures and figures.basis == self.basis:
                    _take_over(self.figures[name], figures)
        self._decide()

    def _begun(self, training: Training) -> Figures:
        """Return the figures of a check without any run."""
        used = needs(self.topic, training)
        mistakes = {mistake.name: Measured(_edit(mistake), {}) for mistake in self.topic.mistakes if mistake.exercise in used}
        return Figures(self.basis, {one: {} for one in CAPABILITIES}, mistakes, {one: {} for one in CAPABILITIES})

    def missing(self, seeds: int, mistake_seeds: int) -> Iterator[Run]:
        """Yield the runs that are known to be needed and are not there; once they are, more may be."""
        for name, figures in self.figures.items():
            for capability, scores in figures.reference.items():
                yield from (Run(self.topic.name, name, capability, REFERENCE, seed) for seed in range(seeds) if seed not in scores)
            for mistake, measured in figures.mistakes.items():
                if not measured.scores or measured.failed_all(figures.threshold):
                    seed = next((seed for seed in range(mistake_seeds) if seed not in measured.scores), None)
                    if seed is not None:
                        yield Run(self.topic.name, name, CAPABILITIES[0], mistake, seed)

    def add(self, run: Run, attempt: Attempt | None) -> None:
        """Include a run, and write the file unless that was just done."""
        figures = self.figures[run.training]
        scores = figures.reference[run.capability] if run.variant == REFERENCE else figures.mistakes[run.variant].scores
        scores[run.seed] = None if attempt is None else attempt.score
        if run.variant == REFERENCE and run.seed < CURVES and attempt is not None and attempt.curve:
            figures.curves[run.capability][run.seed] = [(step, round(value, 4)) for step, value in attempt.curve]
        if time.monotonic() > self.written + PAUSE:
            self.write()

    def write(self) -> None:
        """Decide what follows from the runs, and write it all."""
        self._decide()
        content = msgspec.json.encode(Calibration(self.topic.name, self.figures))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, _in_short_lines(content))
        self.written = time.monotonic()

    def _decide(self) -> None:
        for name, figures in self.figures.items():
            for scores in (*figures.reference.values(), *(one.scores for one in figures.mistakes.values())):
                _sort(scores)
            for curves in figures.curves.values():
                _sort(curves)
            if all(figures.reference.values()):
                self.figures[name] = decided(figures)


def _take_over(figures: Figures, others: Figures) -> None:
    """Include the runs of other figures."""
    for capability in CAPABILITIES:
        figures.reference[capability] |= others.reference.get(capability, {})
        figures.curves[capability] |= others.curves.get(capability, {})
    for name, mistake in others.mistakes.items():
        if name in figures.mistakes and figures.mistakes[name].edit == mistake.edit:
            figures.mistakes[name].scores |= mistake.scores


def _sort(by_seed: dict[int, Any]) -> None:
    """Put the entries into the order of the seeds, in place."""
    entries = sorted(by_seed.items())
    by_seed.clear()
    by_seed.update(entries)


def _edit(mistake: Mistake) -> str:
    return hashlib.sha256(repr((mistake.exercise, mistake.old, mistake.new)).encode()).hexdigest()[:16]


def _in_short_lines(content: bytes) -> str:
    """Return JSON with what holds only numbers in one line, and everything else on lines of its own."""
    text = msgspec.json.format(content, indent=1).decode()
    for innermost in (r"\{[^\[\]{}]*\}", r"\[[^\[\]{}]*\]", r"\[(?:[^\[\]{}]|\[[^\[\]]*\])*\]"):
        text = re.sub(innermost, lambda found: re.sub(r"\n\s*", "", found[0]).replace(",", ", "), text)
    return re.sub(r",  +", ", ", text) + "\n"


def _measured(runs: list[Run], jobs: int) -> Generator[tuple[Run, Attempt | None], None, None]:
    """Yield the runs as they end, `jobs` at a time, each in a process that uses its instruction set."""
    with ExitStack() as stack:
        pools = {capability: stack.enter_context(_pool(capability, jobs)) for capability in CAPABILITIES}
        waiting, pending = iter(runs), dict[Future[Attempt | None], Run]()
        try:
            while True:
                for run in itertools.islice(waiting, jobs - len(pending)):
                    with _uninterrupted():
                        future = pools[run.capability].submit(_run, run)
                    pending[future] = run
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(future), future.result()
        except (KeyboardInterrupt, GeneratorExit):  # nobody waits for what is being trained
            for process in active_children():
                process.terminate()
            raise


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let the processes that are started meanwhile never hear of Ctrl-C, which the terminal sends them, too; this one hears of it later."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _pool(capability: str, jobs: int) -> ProcessPoolExecutor:
    """Return processes that use the instruction set, which torch reads from the environment once."""
    name = "ATEN_CPU_CAPABILITY"
    if capability == "native":
        return ProcessPoolExecutor(jobs, get_context("spawn"), os.unsetenv, (name,))
    return ProcessPoolExecutor(jobs, get_context("spawn"), os.putenv, (name, capability))


def _run(run: Run) -> Attempt | None:
    """Return what a run gave; None where a mistake breaks down."""
    torch.set_num_threads(1)
    topic = load(run.topic)
    training = next(training for training in topic.trainings if training.name == run.training)
    source = topic.solution.read_text()
    if run.variant != REFERENCE:
        source = next(mistake for mistake in topic.mistakes if mistake.name == run.variant).edited(source)
    # Other seeds on each instruction set: mostly one seed gives the same score on all, and the runs count as independent ones.
    seed = derived_seed(run.seed, "calibration", run.capability) % 2**31
    try:
        return training.attempt(trusted(topic, source, topic.solution.name), seed)
    except (StudentError, Wrong):
        if run.variant == REFERENCE:
            raise
        return None
