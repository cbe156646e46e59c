"""What `npfl139 grade` costs on a large class of which everything was graded before.

    python benchmarks/large_class.py

The submissions are the solutions, each with a comment of its own; their results are made up of what the grader says where it failed, with
every check passed. CPU seconds beside those of `python -c 'import torch'` in the same run; lines and bytes that were printed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace

from grader.classroom.intake import collect
from grader.classroom.store import Store
from grader.contract.registry import available, load
from grader.grading.grade import fault
from grader.records import Options, Result, Verdict


def cpu_seconds(*command: str) -> tuple[float, str]:
    """Return what a command used, and printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, printed


def make(folder: Path, students: int) -> None:
    for number in range(students):
        own = folder / "class" / f"student-{number:03}"
        own.mkdir(parents=True)
        for topic in available():
            (own / f"{topic}.py").write_text(f"{load(topic).solution.read_text()}\n# {number}\n")
    store = Store(folder / "out")
    options = Options(seed=store.seed(), training=False)
    for each in collect([folder / "class"], available()):
        made = fault(load(each.topic), each.submission(), options, "")
        checks = [replace(check, verdict=Verdict.PASSED, score=check.max_score, feedback=None) for check in made.checks]
        store.write(Result.of(each.student, each.topic, checks, [], made.provenance, made.max_score))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--students", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, arguments.students)
        start, _ = cpu_seconds(sys.executable, "-c", "import torch")
        print(f"python -c 'import torch': {start:.2f} CPU s")
        grade = (
            sys.executable,
            "-c",
            "from npfl139.cli import main; main()",
            "grade",
            name + "/class",
            "--out",
            name + "/out",
            "--no-training",
        )
        for what in ("first run: every page is written", "a run with nothing to do"):
            used, printed = cpu_seconds(*grade)
            print(f"{what}: {used:.2f} CPU s, {used / start:.1f} times the start; {len(printed.splitlines())} lines, {len(printed)} bytes")


if __name__ == "__main__":
    main()
