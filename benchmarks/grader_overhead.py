"""What grading costs beyond the student's own computing, beside the cost of starting Python with torch for each submission.

    python benchmarks/grader_overhead.py

Everything is measured in one run, alternating, as medians of wall-clock milliseconds; the ratios are what to compare between machines.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

import npfl139.envs
from grader.contract.served import serve
from grader.contract.student import InProcess
from grader.grading.remote import Sandboxed
from grader.grading.sandbox import Sandbox, open_sandbox
from grader.records import SANDBOXES

SUBMISSION = """
from dataclasses import dataclass
import numpy as np
def identity(x): return x
def square(x): return x * x
@dataclass(frozen=True)
class Config:
    steps: int = 0
def train(environments, config: Config, monitor):
    environments.reset()
    action = np.zeros(environments.num_envs, np.int64)
    for _ in range(config.steps): environments.step(action)
"""
CALLS, STEPS, ROWS = 40, 1000, 16


def milliseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - start)


def unit_checks(student: object) -> None:
    """Make about as many calls as a topic's checks do, on about as large inputs, computing next to nothing."""
    x = torch.ones(16, 4)
    for _ in range(CALLS // 2):
        student.identity(x)
        student.gradient("square", x, wrt=[0])


def submission(sandbox: Sandbox) -> None:
    with Sandboxed(sandbox) as student:
        student.load(SUBMISSION, "work", "work.py")
        unit_checks(student)


def start_and_end(sandbox: Sandbox) -> None:
    with Sandboxed(sandbox) as student:
        student.load("", "work", "work.py")


def cold_start() -> None:
    subprocess.run([sys.executable, "-c", "import torch"], check=True)


def training_steps(student: object) -> float:
    """Return milliseconds per step of all rows when a submission trains on served environments."""
    served = serve(npfl139.envs.make("CartPole-v1", ROWS, 1), STEPS * ROWS)
    return milliseconds(lambda: student.train(served.description, steps=STEPS)) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sandbox", choices=SANDBOXES, default="bwrap")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = {}
    whole, inside, cold = f"submission: start, {CALLS} calls, end", f"{CALLS} calls in process", "python -c 'import torch'"

    def record(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    with open_sandbox(arguments.sandbox) as sandbox:
        record("first submission, parent started cold", milliseconds(lambda: submission(sandbox)))
        local = InProcess(SUBMISSION, "work", "work.py")
        for _ in range(arguments.repeats):
            record(cold, milliseconds(cold_start))
            record("worker: start and end", milliseconds(lambda: start_and_end(sandbox)))
            record(whole, milliseconds(lambda: submission(sandbox)))
            record(inside, milliseconds(lambda: unit_checks(local)))
            with Sandboxed(sandbox) as student:
                student.load(SUBMISSION, "work", "work.py")
                student.identity(1)
                record("one call", milliseconds(lambda: [student.identity(1) for _ in range(100)]) / 100)
                record(f"one step of {ROWS} served CartPoles", training_steps(student))
    for name, values in figures.items():
        print(f"{name:45} {statistics.median(values):10.3f} ms  (best {min(values):.3f})")
    overhead = statistics.median(figures[whole]) - statistics.median(figures[inside])
    print(f"overhead per submission: {overhead:.1f} ms; a cold start takes {statistics.median(figures[cold]) / overhead:.0f} times as long")


if __name__ == "__main__":
    main()
