"""An audit for people: a table for the terminal, a page for instructors that needs nothing else."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader import show
from grader.audit.equivalents import FILE, Judgement

__all__ = ["page", "table"]

NUMBERS = ("mutants", "noticed", "equivalent", "survived", "named", "contradicted", "elsewhere")


def table(judgement: Judgement) -> RenderableType:
    """Return what an audit found in a topic, for the terminal."""
    audit = judgement.audit
    figures = Table(box=None, pad_edge=False, header_style="bold")
    figures.add_column(audit.topic.name)
    for name in NUMBERS:
        figures.add_column(name, justify="right")
    rows = [_figures(judgement, exercise) for exercise in audit.exercises]
    for exercise, row in zip(audit.exercises, rows, strict=True):
        figures.add_row(Text(exercise), *(str(row[name]) for name in NUMBERS))
    figures.add_row("in all", *(str(sum(row[name] for row in rows)) for name in NUMBERS), style="bold", end_section=True)
    idle = [f"{check.name} kills no mutant that no other check kills" for check in audit.checks if not check.alone]
    lines = [f"survived, line {finding.mutant.line}: {finding.mutant.id}" for finding in judgement.survivors]
    lines += [f"outdated in {FILE}: {entry}: {trouble}" for entry, trouble in judgement.outdated.items()]
    summary = f"{audit.topic.name}: {len(audit.findings)} mutants in {audit.seconds:.0f} s, {len(judgement.survivors)} unreviewed survivors"
    return Group(figures, *(Text(line, style="dim") for line in idle), *map(Text, lines), Text(summary, style="bold"))


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
            "checks": [check for check in audit.checks if check.exercise == exercise],
            "survivors": [finding for finding in judgement.survivors if finding.mutant.exercise == exercise],
            "equivalents": _by_reason(judgement, exercise),
            "contradicted": [finding for finding in audit.of(exercise) if finding.contradicted],
            "elsewhere": [finding for finding in audit.of(exercise) if finding.elsewhere],
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
        "contradicted": sum(finding.contradicted for finding in findings),
        "elsewhere": sum(bool(finding.elsewhere) for finding in findings),
    }


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
