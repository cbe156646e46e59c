"""`npfl139 audit`: audits topics one after the other, shows what was found, and says whether all is well."""

import os
from pathlib import Path

from rich.console import Console

from grader.audit import runner
from grader.audit.changes import changed_files, touched
from grader.audit.equivalents import Judgement, judged, reviewed
from grader.audit.show import page, table
from grader.contract.registry import available, load
from grader.contract.spec import Topic
from npfl139.progress import bar
from npfl139.terminal import console, suggested

__all__ = ["AuditError", "audited"]

LOG_WIDTH = 120  # of the table where the output is a file or a log, which have no width


class AuditError(ValueError):
    """What was asked for cannot be audited. The message says why."""


def audited(
    names: list[str] | None,
    exercises: list[str] | None,
    since: str | None,
    jobs: int | None,
    seed: int = runner.SEED,
    html: Path | None = None,
) -> bool:
    """Audit topics, or those exercises of them that are named; return whether all of them pass.

    Args:
        names: of topics; all that there are if there are none.
        since: a revision of Git; topics that have not changed since are left out.
        html: where to write a page.

    Raises:
        AuditError: there is no such topic or exercise, a solution fails, or a list of equivalents is broken.
    """
    try:
        topics = [load(name) for name in names or available()]
        if since is not None:
            files = changed_files(since)
            if files is None:
                console.print(f"Git cannot tell what has changed since {since}, so that everything is audited.")
            topics = touched(topics, files)
        judgements = [_audited(topic, _chosen(topic, exercises), jobs or os.cpu_count() or 1, seed) for topic in topics]
    except ValueError as error:
        raise AuditError(str(error)) from error
    if html is not None:
        html.write_text(page(judgements), "utf-8")
        console.print(f"written: {html}")
    if not topics:
        console.print(f"no topic has changed since {since}")
    return all(judgement.passed for judgement in judgements)


def _chosen(topic: Topic, exercises: list[str] | None) -> tuple[str, ...]:
    unknown = [name for name in exercises or () if name not in topic.exercises]
    if unknown:
        raise ValueError(f"{topic.name} has no exercise {unknown[0]!r}; {suggested(unknown[0], topic.exercises)}")
    return tuple(exercises or topic.exercises)


def _audited(topic: Topic, exercises: tuple[str, ...], jobs: int, seed: int) -> Judgement:
    entries, solution = reviewed(topic), topic.solution.read_text(encoding="utf-8")
    for mistake in topic.mistakes:
        mistake.edited(solution)  # or says why not, before anything is run
    with bar(console, topic.name) as tell:
        found = runner.audit(topic, exercises, jobs, seed, lambda done, total: tell(topic.name, done, total))
    judgement = judged(found, entries)
    if console.is_terminal:
        console.print(table(judgement), crop=False)
    else:
        Console(width=LOG_WIDTH).print(table(judgement), soft_wrap=True)
    return judgement
