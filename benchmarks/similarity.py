"""How many planted copies `npfl139 similarity` finds, how many pairs it flags that never met, and what it costs beside copydetect.

    python -m benchmarks.similarity [--students 300] [--copies 10] [--seed 1] [--topics ...] [--beside-copydetect]

The settings were tuned on ppo, trpo, retrace and newton_fisher; the others are what is reported. copydetect (pip install copydetect)
compares every pair: run it on a part of the class, with --students 100. The solution is its boilerplate.
"""

import argparse
import importlib.util
import logging
import random
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from examples.planted import Handed, drawn, parts_of, rewritten
from grader.contract.registry import available
from grader.contract.sources import solution
from grader.similarity.compare import Entry, similar

TUNED = ("ppo", "trpo", "retrace", "newton_fisher")


def planted(topic: str, students: int, copies: int, seed: int) -> tuple[list[Handed], dict[int, int]]:
    """Return what a class handed in, and for each who copied the place of the other."""
    rng, parts = random.Random(f"{seed} {topic}"), parts_of(topic)
    honest = [drawn(parts, rng) for _ in range(students - copies)]
    copied = rng.sample(range(len(honest)), copies)
    rewriting = [Handed(rewritten(honest[place].text, parts.exercises, rng), honest[place].mistakes) for place in copied]
    return honest + rewriting, {len(honest) + index: place for index, place in enumerate(copied)}


def entry(topic: str, who: int, handed: Handed) -> Entry:
    checks = [SimpleNamespace(verdict="wrong", exercise=exercise, mistake=name, feedback=None) for exercise, name in handed.mistakes]
    return Entry(str(who), topic, handed.text, SimpleNamespace(checks=checks))


def measured(topic: str, students: int, copies: int, seed: int) -> tuple[int, float, float]:
    """Return how many copies were found, the share of the other pairs that is flagged, and seconds of CPU; print them."""
    handed, truth = planted(topic, students, copies, seed)
    entries = [entry(topic, who, one) for who, one in enumerate(handed)]
    start = time.process_time()
    flagged = {_pair(pair.one.who, pair.other.who) for pair in similar(entries) if pair.flagged}
    seconds = time.process_time() - start
    right = flagged & set(truth.items())
    share = len(flagged - right) / (students * (students - 1) / 2 - copies)
    label = "tuned on" if topic in TUNED else "reported"
    print(f"{topic:20} {label}  found {len(right):2}/{copies}  others flagged {100 * share:.3f} %  {seconds:.1f} s CPU", flush=True)
    return len(right), share, seconds


def beside_copydetect(topic: str, students: int, copies: int, seed: int) -> None:
    """Print the places of the copies among all pairs, the most alike first, and the seconds of both, for the same files."""
    if importlib.util.find_spec("copydetect") is None:
        raise SystemExit("copydetect is not installed: pip install copydetect")
    from copydetect import CopyDetector

    logging.disable()
    handed, truth = planted(topic, students, copies, seed)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as given:
        for who, one in enumerate(handed):
            (Path(folder) / f"{who}.py").write_text(one.text)
        (Path(given) / "solution.py").write_text(solution(topic).read_text())
        start = time.process_time()
        detector = CopyDetector(test_dirs=[folder], boilerplate_dirs=[given], extensions=["py"], display_t=0.0, autoopen=False, silent=True)
        detector.run()
        theirs = time.process_time() - start
        alike = {_pair(Path(row[2]).stem, Path(row[3]).stem): (row[0] + row[1]) / 2 for row in detector.get_copied_code_list()}
    start = time.process_time()
    ours = [_pair(pair.one.who, pair.other.who) for pair in similar([entry(topic, who, one) for who, one in enumerate(handed)])]
    seconds = time.process_time() - start
    for name, order, cost in (("copydetect", sorted(alike, key=lambda pair: -alike[pair]), theirs), ("here", ours, seconds)):
        places = sorted(order.index(pair) + 1 if pair in order else len(order) + 1 for pair in truth.items())
        print(f"{topic}, {students} students: {name:10} has the {copies} copies at {places} of its list, {cost:.1f} s CPU", flush=True)


def _pair(one: str, other: str) -> tuple[int, int]:
    return max(int(one), int(other)), min(int(one), int(other))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--topics", nargs="+", default=list(available()))
    parser.add_argument("--beside-copydetect", action="store_true")
    options = parser.parse_args()
    if options.beside_copydetect:
        for topic in options.topics:
            beside_copydetect(topic, options.students, options.copies, options.seed)
        return
    rows = {topic: measured(topic, options.students, options.copies, options.seed) for topic in options.topics}
    fresh = [row for topic, row in rows.items() if topic not in TUNED]
    if fresh:
        found, total = sum(row[0] for row in fresh), options.copies * len(fresh)
        print(f"reported topics: found {found}/{total}, others flagged {100 * sum(row[1] for row in fresh) / len(fresh):.3f} %")
    print(f"all: {sum(row[2] for row in rows.values()):.1f} s CPU")


if __name__ == "__main__":
    main()
