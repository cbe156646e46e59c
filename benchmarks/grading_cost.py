"""What one full grading of a correct submission costs in seconds of processor time, by topic: the solution, handed in.

    python benchmarks/grading_cost.py [TOPIC]...

Counted is everything that `npfl139 grade --jobs 1` starts, the sandbox and the report included.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from grader.contract.registry import available, load

SEED = "1"


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(topics: list[str]) -> None:
    print("| topic | CPU seconds |\n| --- | --- |")
    for topic in topics or available():
        with TemporaryDirectory() as folder:
            submission = Path(folder, f"{topic}.py")
            submission.write_bytes(load(topic).solution.read_bytes())
            before = used()
            command = [
                Path(sys.executable).with_name("npfl139"),
                "grade",
                str(submission),
                "--out",
                str(Path(folder, "results")),
                "--jobs",
                "1",
                "--seed",
                SEED,
            ]
            graded = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True).stdout
            assert "everything passed" in graded, graded
            print(f"| {topic} | {used() - before:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
