"""What grading a correct submission, the solution, costs in seconds of processor time, by topic, and how much of that is the grader's.

    python benchmarks/grading_cost.py [TOPIC]...

Counted is everything that `npfl139 grade --jobs 1` starts, the sandbox and the report included, but for the command's start, which a
class pays once: it is what a class of one costs more than each of twelve further ones. Beside it, in this process: what the solution's
own code takes in the unit checks, and its trainings with their environments and evaluations, both without encoding and decoding messages.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import grader.contract.student
import grader.inside.worker
from grader.classroom.store import Store
from grader.contract.registry import available, load
from grader.contract.spec import Topic
from grader.contract.student import InProcess
from npfl139.seeding import derived_seed

SEED = 1
MORE = 12


class Clock:
    """Processor time of this process but for what is spent on messages."""

    def __init__(self):
        self.messages = 0.0
        for module in (grader.contract.student, grader.inside.worker):
            for name in ("encode", "decode"):
                setattr(module, name, self.counted(getattr(module, name)))

    def counted(self, function):
        def counting(*arguments):
            start = time.process_time()
            try:
                return function(*arguments)
            finally:
                self.messages += time.process_time() - start

        return counting

    def __call__(self) -> float:
        return time.process_time() - self.messages


class Timed(InProcess):
    """Counts what the submission's own code takes, without the functions of the grader's that it calls."""

    def __init__(self, clock: Clock, topic: Topic):
        self.clock, self.own = clock, 0.0
        super().__init__(topic.solution.read_text(), topic.name, topic.solution.name, topic.prerequisite_sources)

    def exchange(self, frame):
        start = self.clock()
        try:
            return super().exchange(frame)
        finally:
            self.own += self.clock() - start

    def _call_back(self, number, arguments):
        start = self.clock()
        try:
            return super()._call_back(number, arguments)
        finally:
            self.own -= self.clock() - start


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def graded(topic: Topic, count: int, *options: str) -> tuple[float, list[int]]:
    """Return what grading so many submissions costs, and of the last one how many seeds each training check took."""
    with TemporaryDirectory() as folder:
        for number in range(count):
            submission = Path(folder, "class", f"student-{number}", f"{topic.name}.py")
            submission.parent.mkdir(parents=True)
            submission.write_text(f"{topic.solution.read_text()}\n# {number}\n")
        command = [Path(sys.executable).with_name("npfl139"), "grade", f"{folder}/class", "--out", f"{folder}/results"]
        before = used()
        subprocess.run(
            [*command, "--jobs", "1", "--seed", str(SEED), *options],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=True,
        )
        results = Store(Path(folder, "results")).results()[0]
        assert len(results) == count and not any(result.failures for result in results), results
        return used() - before, [len(check.seeds) for check in results[-1].training]


def unit_checks(topic: Topic, clock: Clock) -> float:
    """Return what the solution's own code takes in them, where whatever it imports has been at work before, as in a worker."""
    for _ in range(2):
        student = Timed(clock, topic)
        for check in topic.checks:
            check.run(student, SEED)
    return student.own


def trainings(topic: Topic, clock: Clock, seeds: list[int]) -> float:
    """Return what they take without sandbox and messages."""
    total = 0.0
    for training, count in zip(topic.trainings, seeds, strict=True):
        for index in range(1, count + 1):
            student = Timed(clock, topic)
            start = clock()
            training.attempt(student, derived_seed(SEED, "training", training.name, index))
            total += clock() - start
    return total


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    clock = Clock()
    print("| topic | unit checks | of it the solution's own | with training | learning of it | the grader's part | start |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in names or available():
        topic = load(name)
        one, several = (graded(topic, count, "--no-training")[0] for count in (1, 1 + MORE))
        each = (several - one) / MORE
        full, seeds = graded(topic, 1)
        full -= one - each
        own, learning = unit_checks(topic, clock), trainings(topic, clock, seeds)
        part = 1 - (own + learning) / full
        print(f"| {name} | {each:.2f} | {own:.2f} | {full:.1f} | {learning:.1f} | {100 * part:.0f} % | {one - each:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
