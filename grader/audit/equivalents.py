"""The mutants that a person has looked at and found to be no mistake, each with the reason; `equivalents.toml` beside the checks.

    [[equivalent]]
    reason = "The order in which the shapes are looked at is nobody's business."
    mutants = ["off_policy_targets · swap elements · …"]

A name that ends in ` · *` stands for all mutants of one kind in one exercise; none of them may then be noticed by a check.
"""

import importlib.resources
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field

from grader.audit.mutants import SEPARATOR
from grader.audit.runner import Audit, Finding
from grader.contract.spec import Topic

__all__ = ["FILE", "Judgement", "judged", "reviewed"]

FILE = "equivalents.toml"
ALL = f"{SEPARATOR}*"


@dataclass(frozen=True)
class Judgement:
    """An audit in the light of what was reviewed.

    It passes without unreviewed survivors, outdated entries, false names, and mutants at which checks of other exercises fail.
    """

    audit: Audit
    survivors: tuple[Finding, ...]  # which nobody has reviewed
    equivalents: tuple[tuple[Finding, str], ...]  # (survivor, the reason why it may survive)
    outdated: dict[str, str] = field(default_factory=dict)  # entry -> what is wrong with it

    @property
    def passed(self) -> bool:
        return not self.survivors and not self.outdated and not self.false_names and not self.elsewhere

    @property
    def false_names(self) -> list[Finding]:
        return [finding for finding in self.audit.findings if finding.false_names]

    @property
    def elsewhere(self) -> list[Finding]:
        """The mutants that cost points of exercises that are right."""
        return [finding for finding in self.audit.findings if finding.elsewhere]


def reviewed(topic: Topic) -> dict[str, str]:
    """Return the reviewed entries of a topic with their reasons; none if there is no file.

    Raises:
        ValueError: the file is not what it should be.
    """
    package = topic.checks[0].function.__module__.rpartition(".")[0]
    path = importlib.resources.files(package) / FILE if package else None
    if path is None or not path.is_file():
        return {}
    try:
        groups = tomllib.loads(path.read_text("utf-8")).get("equivalent", [])
        pairs = [(str(entry), str(group["reason"])) for group in groups for entry in group["mutants"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} must hold [[equivalent]] tables with a reason and mutants: {error!r}") from error
    twice = {entry for entry, _ in pairs if sum(other == entry for other, _ in pairs) > 1}
    if twice or not all(reason.strip() for _, reason in pairs):
        raise ValueError(f"{path} must give each mutant once, with a reason; look at {sorted(twice) or 'the empty reason'}")
    return dict(pairs)


def judged(audit: Audit, entries: dict[str, str]) -> Judgement:
    """Return which survivors are reviewed, which are not, and which entries have become wrong."""
    equivalents, survivors = [], []
    for finding in audit.findings:
        entry = next((entry for entry in (finding.mutant.id, *_kinds(finding)) if entry in entries), None)
        if not finding.killed:
            (survivors.append(finding) if entry is None else equivalents.append((finding, entries[entry])))
    own = [
        entry for entry in entries if entry.split(SEPARATOR)[0] in audit.exercises or entry.split(SEPARATOR)[0] not in audit.topic.exercises
    ]
    outdated = {entry: trouble for entry in own if (trouble := _trouble(entry, audit.findings))}
    return Judgement(audit, tuple(survivors), tuple(equivalents), outdated)


def _kinds(finding: Finding) -> tuple[str, ...]:
    return (SEPARATOR.join(finding.mutant.id.split(SEPARATOR)[:2]) + ALL,)


def _trouble(entry: str, findings: Iterable[Finding]) -> str | None:
    meant = [finding for finding in findings if entry == finding.mutant.id or entry in _kinds(finding)]
    if not meant:
        return "there is no such mutant (any more)"
    killed = [finding for finding in meant if finding.killed]
    if killed:
        by = ", ".join(killed[0].failing) or killed[0].stopped
        return f"it is noticed by {by}" if len(meant) == 1 else f"{len(killed)} of {len(meant)} are noticed, one by {by}"
    return None
