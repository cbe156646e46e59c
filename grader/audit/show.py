"""An audit for people: a table for the terminal, a page for instructors that needs nothing else."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader import show
from grader.audit.equivalents import FILE, Judgement
from grader.audit.runner import Contribution

__all__ = ["page", "table"]

IN_TERMINAL = ("mutants", "noticed", "equivalent", "survived", "named", "told")  # what 80 columns hold; the last lines have the rest
NUMBERS = ("mutants", "noticed", "equivalent", "survived", "named", "symptom", "told", "false names", "elsewhere")


def table(judgement: Judgement) -> RenderableType:
    """Return what an audit found in a topic, for the terminal."""
    audit = judgement.audit
    figures = Table(box=None, pad_edge=False, header_style="bold")
    figures.add_column(audit.topic.name, overflow="fold")
    for name in IN_TERMINAL:
        figures.add_column(name, justify="right", no_wrap=True)
    rows = [_figures(judgement, exercise) for exercise in audit.exercises]
    for exercise, row in zip(audit.exercises, rows, strict=True):
        figures.add_row(Text(exercise), *(str(row[name]) for name in IN_TERMINAL))
    figures.add_row("in all", *(str(sum(row[name] for row in rows)) for name in IN_TERMINAL), style="bold", end_section=True)
    contributions = [f"{exercise}: {_contributed(audit.contributions(exercise))}" for exercise in audit.exercises]
    names = [f"survived, line {finding.mutant.line}: {finding.mutant.id}" for finding in judgement.survivors]
    if judgement.survivors:
        names.append(f"What survived wants a check that notices it, or its name in {audit.topic.files / FILE}, with the reason:")
        names.append(f'[[equivalent]]\nreason = "…"\nmutants = [{json.dumps(judgement.survivors[0].mutant.id, ensure_ascii=False)}]')
    lines = [f"outdated in {FILE}: {entry}: {trouble}" for entry, trouble in judgement.outdated.items()]
    lines += [f"false name, line {one.mutant.line}: {one.mutant.id}: {'; '.join(one.false_names)}" for one in judgement.false_names]
    lines += [f"fails elsewhere, line {one.mutant.line}: {one.mutant.id}: {', '.join(one.elsewhere)}" for one in judgement.elsewhere]
    summary = (
        f"{audit.topic.name}: {len(audit.findings)} mutants in {audit.seconds:.0f} s, {len(judgement.survivors)} unreviewed survivors, "
        f"{_share(rows)} of those noticed have a name or a symptom, {len(judgement.false_names)} false names, "
        f"{len(judgement.elsewhere)} make checks of other exercises fail"
    )
    return Group(
        figures,
        *(Text(line, style="dim") for line in contributions),
        *(Text(line, no_wrap=True, overflow="ignore") for line in names),  # whose lines are to be copied whole
        *map(Text, lines),
        Text(summary, style="bold"),
    )


def _contributed(contributions: list[Contribution]) -> str:
    """Return in a line which checks notice everything, what each adds to those before it, and which are not needed for that."""
    few = [one for one in contributions if one.added]
    parts = [f"{one.name} notices {one.added}" if one is few[0] else f"{one.name} {one.added} more" for one in few]
    idle = ", ".join(one.name for one in contributions if not one.added)
    return ", ".join(parts or ["nothing is noticed"]) + (f"; nothing is added by {idle}" if idle else "")


def page(judgements: Iterable[Judgement]) -> str:
    """Return a self-contained page about the audits of some topics."""
    topics = [_topic(judgement) for judgement in judgements]
    return _environment().get_template("audit.html").render(topics=topics, numbers=NUMBERS)


def _topic(judgement: Judgement) -> dict[str, Any]:
    audit = judgement.audit
    exercises: list[dict[str, Any]] = [
        {
            "name": exercise,
            "figures": _figures(judgement, exercise),
            "checks": audit.contributions(exercise),
            "survivors": [finding for finding in judgement.survivors if finding.mutant.exercise == exercise],
            "equivalents": _by_reason(judgement, exercise),
            "untold": [finding for finding in audit.of(exercise) if finding.killed and not finding.is_told],
            "false_names": [finding for finding in judgement.false_names if finding.mutant.exercise == exercise],
            "elsewhere": [finding for finding in judgement.elsewhere if finding.mutant.exercise == exercise],
        }
        for exercise in audit.exercises
    ]
    totals = {name: sum(exercise["figures"][name] for exercise in exercises) for name in NUMBERS}
    return {
        "name": audit.topic.name,
        "title": audit.topic.title,
        "passed": judgement.passed,
        "seconds": audit.seconds,
        "totals": totals,
        "share": _share([totals]),
        "outdated": judgement.outdated,
        "exercises": exercises,
    }


def _figures(judgement: Judgement, exercise: str) -> dict[str, int]:
    findings = judgement.audit.of(exercise)
    return {
        "mutants": len(findings),
        "noticed": sum(finding.killed for finding in findings),
        "equivalent": sum(finding.mutant.exercise == exercise for finding, _ in judgement.equivalents),
        "survived": sum(finding.mutant.exercise == exercise for finding in judgement.survivors),
        "named": sum(bool(finding.names) for finding in findings),
        "symptom": sum(finding.symptom is not None for finding in findings),
        "told": sum(finding.is_told for finding in findings),
        "false names": sum(bool(finding.false_names) for finding in findings),
        "elsewhere": sum(bool(finding.elsewhere) for finding in findings),
    }


def _share(rows: list[dict[str, int]]) -> str:
    """Return the share of the noticed mutants about which a student is told something."""
    noticed = sum(row["noticed"] for row in rows)
    return f"{sum(row['told'] for row in rows) / noticed:.1%}" if noticed else "none"


def _by_reason(judgement: Judgement, exercise: str) -> dict[str, list]:
    reasons: dict[str, list] = {}
    for finding, reason in judgement.equivalents:
        if finding.mutant.exercise == exercise:
            reasons.setdefault(reason, []).append(finding)
    return reasons


def _environment() -> Environment:
    places = [Path(__file__).parent / "templates", Path(show.__file__).parent / "templates"]
    loader = ChoiceLoader([FileSystemLoader(place) for place in places])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
