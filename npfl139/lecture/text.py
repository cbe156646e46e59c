"""The source of a lecture, `lectures/<topic>.md`: MyST Markdown with cells of Python, as Jupytext and Sphinx read it too."""

import re
from dataclasses import dataclass

__all__ = ["Cell", "Prose", "code_of", "interactive_figures", "parts", "title"]

FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Prose:
    """Markdown between two cells."""

    markdown: str


@dataclass(frozen=True)
class Cell:
    """Python, to be run after the cells before it."""

    source: str


def parts(lecture: str) -> list[Prose | Cell]:
    """Return what a lecture consists of, in its order."""
    text = FRONT_MATTER.sub("", lecture)
    found: list[Prose | Cell] = []
    end = 0
    for match in CELL.finditer(text):
        found += [Prose(text[end : match.start()].strip()), Cell(match["source"].strip())]
        end = match.end()
    found.append(Prose(text[end:].strip()))
    return [part for part in found if not isinstance(part, Prose) or part.markdown]


def code_of(lecture: str) -> list[str]:
    """Return the cells of a lecture."""
    return [part.source for part in parts(lecture) if isinstance(part, Cell)]


def interactive_figures(lecture: str) -> list[str]:
    """Return the names of the figures that react, which lie in `interactive/` beside the lecture."""
    return re.findall(r"^`{3,}\{interactive\} *(\S+) *$", lecture, re.MULTILINE)


def title(lecture: str) -> str:
    """Return the first heading.

    >>> title("---\\nkernel: x\\n---\\n\\n# Retrace\\n\\nText.")
    'Retrace'
    """
    heading = re.search(r"^# (.+)$", FRONT_MATTER.sub("", lecture), re.MULTILINE)
    return heading[1] if heading else "Lecture"
