"""The labels of equations, `[ppo:gae]` in docstrings, checks, hints and reports: which there are, and where each can be read."""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from npfl139 import catalogue, command

__all__ = ["CITED", "SITE", "Equation", "anchor", "cited", "equation_place", "equation_url", "equations", "equations_of"]

SITE = "NPFL139_SITE"  # the environment variable that says where the course keeps what `make site` built: an address or a folder
CITED = re.compile(r"\[([a-z]\w*:[a-z][\w-]*)\]")
BLOCK = re.compile(r"^```\{math\}\n(?::label: *(?P<label>\S+) *\n)?(?P<latex>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Equation:
    """One labelled equation of a lecture."""

    label: str  # topic:name
    number: int  # as pages show it; the labelled equations of a lecture are counted from 1
    latex: str

    @property
    def topic(self) -> str:
        return self.label.partition(":")[0]


def equations_of(lecture: str) -> list[Equation]:
    """Return the labelled equations of a lecture's source, in their order."""
    labelled = [match for match in BLOCK.finditer(lecture) if match["label"]]
    return [Equation(match["label"], number, match["latex"].strip()) for number, match in enumerate(labelled, 1)]


@functools.cache
def equations() -> dict[str, Equation]:
    """Return the equations of all lectures that lie beside the assignments, by label.

    Raises:
        npfl139.catalogue.CatalogueError: there are no assignments here.
    """
    lectures = (item.lecture for item in catalogue.assignments().values())
    found = (equations_of(path.read_text(encoding="utf-8")) for path in lectures if path.is_file())
    return {equation.label: equation for listed in found for equation in listed}


def cited(text: str) -> list[str]:
    """Return the labels that a text cites.

    >>> cited("Return the objective [ppo:clip], the mean of rows[start:stop] [B, 1:3].")
    ['ppo:clip', 'start:stop']
    """
    return CITED.findall(text)


def anchor(label: str) -> str:
    """Return the id that an equation has in its page.

    >>> anchor("newton_fisher:score_mean")
    'equation-newton-fisher-score-mean'
    """
    return "equation-" + re.sub(r"[^a-z0-9]+", "-", label.lower())


def equation_url(label: str, site: str | None = None) -> str | None:
    """Return the address of an equation in the course's site.

    Args:
        label: as cited, without brackets.
        site: an address or a folder, by default what the environment variable `NPFL139_SITE` says.

    Returns:
        None where no site is known, or no lecture has the equation; `equation_place` then says in words where it stands.

    >>> equation_url("ppo:gae", "https://example.org/unit/")
    'https://example.org/unit/lectures/ppo.html#equation-ppo-gae'
    """
    site = site or os.environ.get(SITE)
    if not site or label not in equations():
        return None
    if "://" not in site:
        site = Path(site).expanduser().resolve().as_uri()
    return f"{site.rstrip('/')}/lectures/{equations()[label].topic}.html#{anchor(label)}"


def equation_place(label: str) -> str | None:
    """Return in words where an equation stands, and the command that shows it; None where no lecture has it.

    >>> equation_place("ppo:gae"), equation_place("start:stop")
    ('equation 2 (gae) of the lecture ppo: npfl139 lecture ppo', None)
    """
    equation = equations().get(label)
    if equation is None:
        return None
    name = label.partition(":")[2]
    return f"equation {equation.number} ({name}) of the lecture {equation.topic}: {command('lecture', equation.topic)}"
