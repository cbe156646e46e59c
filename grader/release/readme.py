"""Tables that follow from the topics: python -m grader.release.readme writes that of README.md where it stands, between comments."""

import re
import statistics
from collections.abc import Iterable
from pathlib import Path

from grader.contract import registry
from grader.contract.figures import calibrated
from grader.contract.spec import Topic
from npfl139 import DISTRIBUTION

__all__ = ["ours", "thresholds_table", "topics_table", "with_table"]

README = Path("README.md")


def ours() -> list[Topic]:
    """Return the topics that this project brings itself."""
    brought_by = {name: registry.distribution(name) for name in registry.available()}
    return [registry.load(name) for name, item in brought_by.items() if item is not None and item.name == DISTRIBUTION]


def topics_table(topics: Iterable[Topic]) -> str:
    """Return what the topics are, a row each."""
    return _table(("topic", "title", "exercises", "points", "of them for training", "builds on"), map(_topic_row, topics))


def thresholds_table(topics: Iterable[Topic]) -> str:
    """Return what was measured of the training checks, a row each."""
    header = (
        "topic", "training check", "threshold", "reference: worst, median", "a correct submission fails, at most",
        "mistakes that failed on every seed tried, of those trained", "surely stopped, of those in exercises that it uses",
    )  # fmt: skip
    return _table(header, (row for topic in topics for row in _training_rows(topic)))


def with_table(text: str, name: str, table: str) -> str:
    """Return the text with what stands between `<!-- name -->` and `<!-- /name -->` replaced.

    Raises:
        ValueError: the comments are not there once.
    """
    text, count = re.subn(rf"(?s)(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", table.replace("\\", r"\\"), text)
    if count != 1:
        raise ValueError(f"the comments <!-- {name} --> and <!-- /{name} --> must stand once around the table, but do {count} times")
    return text


def _topic_row(topic: Topic) -> tuple[str, ...]:
    training = sum(check.points for check in topic.trainings)
    return (
        topic.name, topic.title, str(len(topic.exercises)), f"{topic.max_score:g}", f"{training:g}", ", ".join(topic.prerequisites) or "—",
    )  # fmt: skip


def _training_rows(topic: Topic) -> Iterable[tuple[str, ...]]:
    for training in topic.trainings:
        figures = calibrated(topic.name, training.name)
        if figures is None:
            yield topic.name, training.name, "not measured", "", "", "", ""
            continue
        reference = [score for scores in figures.reference.values() for score in scores.values() if score is not None]
        mistakes = figures.mistakes.values()
        failed, trained = sum(one.failed_all(figures.threshold) for one in mistakes), sum(bool(one.scores) for one in mistakes)
        seeds = {len(one.scores) for one in mistakes if one.scores}
        tried = f"{failed} of {trained}, {_seeds(min(seeds), max(seeds))} each" if seeds else "none trained"
        yield (
            topic.name, training.name, f"{figures.threshold:.3g}", f"{min(reference):.3g}, {statistics.median(reference):.3g}",
            f"{100 * figures.false_fail_bound:.1f} %", tried,
            f"{sum(one.stops for one in mistakes)} of {len(mistakes)}",
        )  # fmt: skip


def _seeds(fewest: int, most: int) -> str:
    return ("1 seed" if most == 1 else f"{most} seeds") if fewest == most else f"{fewest} to {most} seeds"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8"), "topics", topics_table(ours())), encoding="utf-8")
