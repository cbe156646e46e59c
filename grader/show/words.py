"""The wording and the tones of the pages, and how untrusted text becomes part of one."""

import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from grader.contract.registry import available
from grader.records import Part, Result, Verdict
from grader.show.findings import VERDICTS, printable
from npfl139.catalogue import CatalogueError
from npfl139.equations import CITED, equation_place, equation_url

__all__ = [
    "TONES",
    "conditions",
    "cumulated",
    "explained",
    "joined",
    "lecture_order",
    "likeness",
    "marked",
    "percent",
    "probability",
    "sentence",
    "wording",
]

BELOW = "below"  # of a run of a training check that did not reach the threshold
WORDS: dict[str, str] = {BELOW: BELOW, **VERDICTS}
TONES: dict[str, str] = {
    BELOW: "wrong",
    Verdict.PASSED: "passed",
    Verdict.WRONG: "wrong",
    Verdict.MISSING: "open",
    Verdict.BLOCKED: "open",
    Verdict.CRASHED: "stopped",
    Verdict.TIMEOUT: "stopped",
    Verdict.MEMORY: "stopped",
    Verdict.VIOLATION: "stopped",
    Verdict.GRADER_FAULT: "fault",
}
EXPLANATIONS = {
    Verdict.BLOCKED: "It can only be graded once that works.",
    Verdict.TIMEOUT: "The limit is many times what the reference needs: look for a loop that does not end.",
    Verdict.MEMORY: "Look for a list or a tensor that grows with every step, or for shapes that broadcast into a large matrix.",
    Verdict.VIOLATION: "An exercise never needs this.",
    Verdict.GRADER_FAULT: "This is not your fault, and these points are still open.",
}


def wording(verdict: str) -> str:
    """Return what a badge says."""
    return WORDS[verdict]


def explained(part: Part) -> str:
    """Return what a verdict means to a student, where that is not plain."""
    return EXPLANATIONS.get(part.verdict, "")


def likeness(part: Part) -> str:
    """Return how a named mistake is told, up to the words that say what it is."""
    if part.certain:
        return "your outputs equal those of an implementation that"
    return "in these checks it behaves as an implementation would that"


def percent(part: float, whole: float) -> float:
    """Return a part of a whole as a length, in percent."""
    return round(min(max(100 * part / whole, 0), 100), 1) if whole else 0


def cumulated(counts: Iterable[tuple[str, int]], whole: int) -> list[tuple[str, int]]:
    """Return where the share of each tone, laid behind one another, ends, in percent.

    >>> cumulated([("passed", 1), ("wrong", 2)], 4)
    [('passed', 25), ('wrong', 75)]
    """
    ends, reached = [], 0
    for tone, count in counts:
        reached += count
        ends.append((tone, round(percent(reached, whole))))
    return ends


def probability(value: float) -> str:
    """Return a probability as people write it."""
    return f"{100 * value:.3g} %" if value >= 1e-4 or value == 0 else "less than 0.01 %"


def sentence(text: str) -> str:
    """Return feedback as a sentence; what begins with the name of an exercise or of an exception keeps its first letter.

    >>> sentence("with two eigenvalues 2 products are enough"), sentence("score is not implemented yet")
    ('With two eigenvalues 2 products are enough.', 'score is not implemented yet.')
    """
    text = re.sub(r"\A(it|in|the|this|your|an?|there|two|with|what|for|some)\b", lambda word: word[0].capitalize(), text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def marked(text: str) -> Markup:
    """Return text, escaped, in which `code` and *emphasis* are marked up, and a cited equation leads to its lecture."""
    escaped = str(escape(printable(text)))
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    emphasis = re.sub(r"(?<!\S)\*(\w[^*`<]*)\*(?![\w*])", r"<em>\1</em>", code)
    return Markup(CITED.sub(_equation, emphasis))


def _equation(citation: re.Match[str]) -> str:
    """Return a citation as a link where the course has a site, otherwise with a word on where the equation stands."""
    label = citation[1]
    try:
        url, place = equation_url(label), equation_place(label)
    except CatalogueError:  # no lectures are installed
        return citation[0]
    if url:
        return f'<a href="{escape(url)}">{citation[0]}</a>'
    return f'<span title="{escape(place)}">{citation[0]}</span>' if place else citation[0]


def lecture_order(topic: str) -> tuple[int, str]:
    """Return the place of a topic among others; one that is not installed comes last."""
    topics = available()
    return topics.index(topic) if topic in topics else len(topics), topic


def conditions(result: Result) -> list[tuple[str, str]]:
    """Return (what, its value) of what should be the same for a whole class."""
    provenance, basis = result.provenance, result.provenance.basis
    return [
        ("engine", basis.engine_sha256),
        ("versions", ", ".join(f"{name} {number}" for name, number in provenance.versions.items())),
        ("threads", str(provenance.threads)),
        ("cpu capability", provenance.cpu_capability),
        ("sandbox", basis.sandbox),
        ("training checks", "run" if basis.training else "not run"),
    ]


def joined(rows: Iterable[Sequence[tuple[str, str]]]) -> list[tuple[str, str]]:
    """Return (what, its different values) over several results."""
    values: dict[str, dict[str, None]] = {}
    for row in rows:
        for what, value in row:
            values.setdefault(what, {})[value] = None
    return [(what, " · ".join(different)) for what, different in values.items()]
