"""Tables and figures of the lines of `benchmarks/studies.py`.

python benchmarks/tables.py runs/studies.jsonl                 what was measured, study by study
python benchmarks/tables.py --best runs/tries.jsonl            the setting that did best on the suite, as options of studies.py
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np


def best_setting(lines: list[dict]) -> dict:
    """Return the setting with most seeds that are good on the suite (mean ≥ 0.85, worst ≥ 0.65); of equals, the one with the best mean."""
    by_setting = defaultdict(lambda: defaultdict(list))
    for line in lines:
        by_setting[json.dumps(line["settings"])][line["seed"]].append(line["end"]["score"])

    def quality(setting: str) -> tuple[float, float]:
        seeds = by_setting[setting].values()
        good = [np.mean(scores) >= 0.85 and min(scores) >= 0.65 for scores in seeds]
        return float(np.mean(good)), float(np.mean([np.mean(scores) for scores in seeds]))

    return json.loads(max(by_setting, key=quality))


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
