"""Tables and figures of the lines of `benchmarks/studies.py`.

python benchmarks/tables.py --best runs/tries.jsonl            the setting that did best, as options of studies.py
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np


def good(lines: list[dict]) -> tuple[bool, float]:
    """Return whether the runs of one seed with one setting are as good as they should be, and how good they are."""
    if lines[0]["study"] == "settles":  # it ends where it arrived
        late = [point["return"] for point in lines[0]["points"][-5:]]
        return lines[0]["end"]["return"] >= 475 and min(late) >= 300, float(np.mean(late))
    scores = [line["end"]["score"] for line in lines]
    return bool(np.mean(scores) >= 0.85 and min(scores) >= 0.65), float(np.mean(scores))


def best_setting(lines: list[dict]) -> dict:
    """Return the setting with which most seeds are good; of equals, the one with the best mean."""
    by_setting = defaultdict(lambda: defaultdict(list))
    for line in lines:
        by_setting[json.dumps(line["settings"])][line["seed"]].append(line)
    quality = {setting: np.mean([good(seed) for seed in seeds.values()], 0).tolist() for setting, seeds in by_setting.items()}
    return json.loads(max(quality, key=quality.__getitem__))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path, help="the file of the lines")
    parser.add_argument("--best", action="store_true")
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.lines.read_text().splitlines()]
    if options.best:
        print(*(f"{name}={value}" for name, value in best_setting(lines).items()))


if __name__ == "__main__":
    main()
