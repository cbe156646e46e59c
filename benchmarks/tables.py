"""Tables of the lines of `benchmarks/studies.py`.

python benchmarks/tables.py runs/studies.jsonl                                      all tables, as Markdown
python benchmarks/tables.py runs/studies.jsonl --compact benchmarks/measured.jsonl   what the tables need of each line
python benchmarks/tables.py benchmarks/measured.jsonl                               the same tables
python benchmarks/tables.py runs/studies.jsonl --arms                               the best arm over training, as the lecture draws it
python benchmarks/tables.py runs/tries.jsonl --best                                 the setting that did best, as options of studies.py

An interval holds 95 % of the means of 10,000 samples of as many seeds, drawn with replacement (the percentile bootstrap). Of less
than five seeds it would say too little: there all values are shown.

Needed are numpy and scipy, and for the statistics of the suite what Agent57 needs.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import scipy.stats
import torch

from solutions.agent57 import benchmark_statistics

Line = dict
ENOUGH = 5  # seeds for an interval


def good(lines: list[Line]) -> tuple[bool, float]:
    """Return whether the runs of one seed with one setting are as good as they should be, and how good they are."""
    if lines[0]["study"] == "settles":  # it ends where it arrived
        late = [point["return"] for point in lines[0]["points"][-5:]]
        return lines[0]["end"]["return"] >= 475 and min(late) >= 300, float(np.mean(late))
    scores = [line["end"]["score"] for line in lines]
    return bool(np.mean(scores) >= 0.85 and min(scores) >= 0.65), float(np.mean(scores))


def best_setting(lines: list[Line]) -> dict:
    """Return the setting with which most seeds are good; of equals, the one with the best mean."""
    by_setting = defaultdict(lambda: defaultdict(list))
    for line in lines:
        by_setting[json.dumps(line["settings"])][line["seed"]].append(line)
    quality = {setting: np.mean([good(seed) for seed in seeds.values()], 0).tolist() for setting, seeds in by_setting.items()}
    return json.loads(max(quality, key=quality.__getitem__))


def grouped(lines: Iterable[Line], *fields: str) -> dict[tuple, list[Line]]:
    """Return the lines by the values of fields, in the order of their seeds."""
    groups = defaultdict(list)
    for line in sorted(lines, key=lambda line: line["seed"]):
        groups[tuple(line[field] for field in fields)].append(line)
    return groups


def interval(*samples: list[float], statistic: Callable[..., float] = np.mean) -> tuple[float, float]:
    """Return the interval of a statistic of samples, each of which is drawn anew by itself."""
    arrays = tuple(np.array(sample) for sample in samples)
    if all(np.ptp(array) == 0 for array in arrays):
        return (float(statistic(*arrays)),) * 2
    result = scipy.stats.bootstrap(arrays, statistic, method="percentile", vectorized=False, n_resamples=10_000, rng=1)
    return tuple(result.confidence_interval)


def shown(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}" if np.isfinite(value) else "not measured"  # no -0


def summary(values: list[float], digits: int = 2) -> str:
    """Return a mean with its interval and the number of seeds, or all values where these are few."""
    if len(values) < ENOUGH:
        return ", ".join(shown(value, digits) for value in values) or "not run"
    low, high = interval(values)
    return f"{shown(np.mean(values), digits)} ({shown(low, digits)} to {shown(high, digits)}; {len(values)})"


def comparison(ours: list[Line], others: list[Line], value: Callable[[Line], float], digits: int) -> str:
    """Return what the seeds that two variants have in common say about them."""
    first, second = ({line["seed"]: value(line) for line in lines} for lines in (ours, others))
    differences = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    low, high = interval(differences)
    test = scipy.stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    mean, low, high = (shown(one, digits) for one in (np.mean(differences), low, high))
    return f"{better} : {worse} seeds, mean difference {mean} ({low} to {high}), sign test p = {test:.2g}"


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def score(line: Line) -> float:
    return line["end"]["score"]


def coverage(line: Line) -> float:
    return max(line["end"]["coverage"])


def greedy(line: Line) -> float:
    return line["end"]["return"]


def short(task: str) -> str:
    return task.removeprefix("npfl139/").partition("-v")[0]


def suite(lines: list[Line]) -> str:
    """Scores by variant and task; Agent57 by seed, the policies that it chose, and the statistics of the paper's Table 1."""
    tasks = list(dict.fromkeys(line["task"] for line in lines))
    cells = grouped(lines, "variant", "task")
    variants = list(dict.fromkeys(line["variant"] for line in lines))
    parts = [
        table(
            ["variant", *map(short, tasks)],
            ([variant, *(summary([score(line) for line in cells[variant, task]]) for task in tasks)] for variant in variants),
        )
    ]
    by_seed = grouped((line for line in lines if line["variant"] == "Agent57"), "seed")
    rows = []
    for (seed,), runs in by_seed.items():
        scores = {line["task"]: score(line) for line in runs}
        seconds = sum(line["seconds"] for line in runs)
        cells_of_seed = [f"{scores[task]:.2f}" for task in tasks]
        rows.append([str(seed), *cells_of_seed, f"{np.mean(list(scores.values())):.2f}", f"{min(scores.values()):.2f}", f"{seconds:.0f}"])
    parts.append(table(["Agent57, seed", *map(short, tasks), "mean", "worst", "CPU seconds"], rows))
    arms = {task: np.bincount([line["end"]["arm"] for line in cells["Agent57", task]], minlength=4) for task in tasks}
    pairs = ("(0, .999)", "(0, .75)", "(1, .999)", "(1, .75)")
    parts.append(
        table(["policy (β, γ) in the end", *map(short, tasks)], ([p, *(str(arms[t][i]) for t in tasks)] for i, p in enumerate(pairs)))
    )
    names = [name for name in benchmark_statistics(torch.zeros(1)) if name != "above human"]  # nothing is better than the best
    complete = [variant for variant in variants if all(len(cells[variant, task]) >= ENOUGH for task in tasks)]
    rows = [[variant, *statistics_of([[score(line) for line in cells[variant, task]] for task in tasks], names)] for variant in complete]
    if rows:
        parts.append(table(["percent of best play", *names], rows))
    return "\n\n".join(parts)


def statistics_of(samples: list[list[float]], names: list[str]) -> list[str]:
    """Return statistics of the tasks' mean scores, with intervals."""

    def statistic(*drawn: list[float]) -> float:
        return benchmark_statistics(torch.tensor([np.mean(sample) for sample in drawn]))[name]

    cells = []
    for name in names:  # noqa: B007
        low, high = interval(*samples, statistic=statistic)
        cells.append(f"{statistic(*samples):.1f} ({low:.1f} to {high:.1f})")
    return cells


def by_variant(
    value: Callable[[Line], float], digits: int, first: str | None = None, also: Mapping[str, Callable[[Line], float]] = {}
) -> Callable[[list[Line]], str]:
    """Return what makes a table of each task's variants, with means of what else is asked for, and compares one of them with the others."""

    def made(lines: list[Line]) -> str:
        parts = []
        for (task,), runs in grouped(lines, "task").items():
            variants = {variant: grouped(runs, "variant")[variant,] for variant in dict.fromkeys(line["variant"] for line in lines)}
            rows = []
            for variant, group in variants.items():
                values = [value(line) for line in group]
                compared = "" if variant == first or first is None else comparison(variants[first], group, value, digits)
                seconds = np.median([line["seconds"] for line in group])
                means = [shown(np.mean([other(line) for line in group]), 2) for other in also.values()]
                by_seed = ", ".join(shown(one, digits) for one in values)
                rows.append([variant, summary(values, digits), by_seed, *means, f"{seconds:.0f}", compared])
            header = [short(task), "mean (interval; seeds)", "by seed", *also, "CPU seconds", f"{first} against it" if first else ""]
            parts.append(table(header, rows))
        return "\n\n".join(parts)

    return made


def hopper(lines: list[Line]) -> str:
    """The greedy policy in the end, and the policy as it trained."""
    parts = ["Greedy, ten episodes, in the end:", by_variant(greedy, 0, "default")(lines)]
    parts += ["In training, mean over the last fifth:", by_variant(lambda line: line["training_return"], 0, "default")(lines)]
    return "\n\n".join(parts)


def settles(lines: list[Line]) -> str:
    """Ends, worst of the last five evaluations, and seconds until the returns first were good."""
    enough = {"MaskedCartPole": 450.0, "CueRecall": 0.9, "TwoRooms": 1.9}
    rows = []
    for (task,), runs in grouped(lines, "task").items():
        name = short(task)
        worst = [min(point["return"] for point in line["points"][-5:]) for line in runs]
        firsts = [[point["seconds"] for point in line["points"] if point["return"] >= enough[name]][:1] for line in runs]
        seconds = [value for first in firsts for value in first]
        reached = f"median {np.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), {len(seconds)} of {len(runs)}"
        rows.append(
            [
                name,
                *(", ".join(f"{value:.3g}" for value in values) for values in (map(greedy, runs), worst)),
                f"{enough[name]:g}: {reached}",
            ]
        )
    return table(["task", "end, by seed", "worst of the last five evaluations before", "first reached"], rows)


TOLD_APART = {"new cells told from known ones": lambda line: line["end"].get("told apart", np.nan)}
TABLES = {
    "suite": suite,
    "minute": suite,
    "coin": by_variant(lambda line: line["end"]["arms"][0], 2),
    "maze": by_variant(coverage, 2, "NGU", TOLD_APART),
    "mazes": by_variant(coverage, 2, "NGU", TOLD_APART),
    "goal": by_variant(score, 2, "NGU"),
    "bigmaze": by_variant(coverage, 2, also={"random steps": lambda line: line["end"]["coverage by chance"]} | TOLD_APART),
    "hopper": hopper,
    "swimmer": by_variant(greedy, 0),
    "settles": settles,
}


def compact(line: Line) -> Line:
    """Return what the tables need, with numbers of four digits."""
    measure = next(name for name in ("return", "score", "coverage") if name in line["end"])
    points = [{name: point[name] for name in ("seconds", measure, "arm") if name in point} for point in line["points"]]
    end = {name: value for name, value in line["end"].items() if name not in ("pulls", "means")}
    return rounded(
        {name: line[name] for name in ("study", "variant", "task", "seed", "steps", "seconds", "training_return")}
        | {"end": end, "points": points}
    )


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def arms(lines: list[Line]) -> str:
    """Return the evaluator's arm over training: a task, and for each seed a digit for each measurement."""
    runs = grouped((line for line in lines if line["study"] == "suite" and line["variant"] == "Agent57"), "task")
    digits = {task: ["".join(str(at["arm"]) for at in [*line["points"], line["end"]]) for line in group] for (task,), group in runs.items()}
    return "\n".join(f'"{short(task)}": "{" ".join(seeds)}",' for task, seeds in digits.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path, help="the file of the lines")
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--arms", action="store_true")
    parser.add_argument("--compact", type=Path, metavar="FILE")
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.lines.read_text().splitlines()]
    if options.best:
        print(*(f"{name}={value}" for name, value in best_setting(lines).items()))
    elif options.arms:
        print(arms(lines))
    elif options.compact:
        variants = list(dict.fromkeys(line["variant"] for line in lines))
        order = sorted(
            lines, key=lambda line: ([*TABLES].index(line["study"]), variants.index(line["variant"]), line["task"], line["seed"])
        )
        options.compact.write_text("".join(json.dumps(compact(line), ensure_ascii=False, separators=(",", ":")) + "\n" for line in order))
    else:
        for name, made in TABLES.items():
            runs = [line for line in lines if line["study"] == name]
            print(f"## {name}\n\n{made(runs) if runs else 'Not run.'}\n")


if __name__ == "__main__":
    main()
