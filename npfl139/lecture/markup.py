"""The Markdown of a lecture as HTML that needs nothing else: formulas are MathML, which browsers typeset themselves."""

import functools
import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import math_core
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

from npfl139.equations import anchor, equations_of

__all__ = ["MATH_STYLE", "highlighted", "interactive", "mathml", "prose"]

# Fonts with the tables that large brackets and roots are built from: of macOS, of Windows, of TeX, of Linux.
MATH_STYLE = 'math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "DejaVu Math TeX Gyre", math; }'
FIGURE_STYLE = Path(__file__).with_name("figure.css")


def mathml(latex: str, display: bool) -> str:
    """Return a formula as MathML.

    Raises:
        ValueError: it is no LaTeX.
    """
    try:
        return _converter().convert_with_local_state(latex.strip(), displaystyle=display)
    except math_core.LatexError as error:
        raise ValueError(f"the formula {latex.strip()!r} cannot be set: {error}") from error


@functools.cache
def _converter() -> math_core.LatexToMathML:
    return math_core.LatexToMathML()


def highlighted(code: str) -> str:
    """Return Python as HTML, whose classes `pygments_style` colours."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(code, PythonLexer(), HtmlFormatter(cssclass="highlight"))


def interactive(lecture: Path, name: str) -> str:
    """Return the figure of that name that reacts: HTML in `interactive/` beside the lecture, with its drawing and its script inside.

    Raises:
        ValueError: there is none.
    """
    path = lecture.parent / "interactive" / f"{name}.html"
    if not path.is_file():
        raise ValueError(f"{lecture.name} asks for the figure {name}, but there is no {path.name} in {path.parent}")
    return f"<style>\n{FIGURE_STYLE.read_text(encoding='utf-8')}</style>\n{path.read_text(encoding='utf-8')}"


def prose(lecture: Path, text: str) -> Callable[[str], str]:
    """Return what makes HTML of pieces of a lecture's Markdown.

    Args:
        lecture: where it lies.
        text: all of it, since a piece may refer to equations of another.
    """
    numbers = {equation.label: equation.number for equation in equations_of(text)}
    exercises = iter(range(1, 1000))

    def fence(tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
        kind, _, rest = tokens[index].info.strip().partition(" ")
        content = tokens[index].content
        if kind == "{math}":
            return _equation(content, numbers)
        if kind == "{exercise}":
            heading = f"Exercise {next(exercises)}. {markdown.renderInline(rest)}"
            return f'<section class="exercise"><p class="heading">{heading}</p>{markdown.render(content)}</section>'
        if kind == "{answer}":
            return f'<details class="answer"><summary>Answer</summary>{markdown.render(content)}</details>'
        if kind == "{interactive}":
            return interactive(lecture, rest)
        if kind.startswith("{"):
            raise ValueError(f"{lecture.name} has the directive {kind}, which this page cannot show")
        return highlighted(content) if kind == "python" else f"<pre>{html.escape(content)}</pre>"

    def role(tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
        kind, content = tokens[index].meta["name"], tokens[index].content
        if kind != "eq":
            raise ValueError(f"{lecture.name} has the role {kind}, which this page cannot show")
        if content in numbers:
            return f'<a href="#{anchor(content)}">({numbers[content]})</a>'
        topic, _, name = content.partition(":")
        return f"equation {html.escape(name)} of the lecture {html.escape(topic)}"

    markdown = MarkdownIt("commonmark").enable("table").use(colon_fence_plugin).use(myst_role_plugin)
    markdown.use(dollarmath_plugin, renderer=lambda latex, options: mathml(latex, options["display_mode"]))
    for name in ("fence", "colon_fence"):
        markdown.add_render_rule(name, lambda self, *arguments: fence(*arguments))
    markdown.add_render_rule("myst_role", lambda self, *arguments: role(*arguments))
    return lambda piece: _anchored(markdown.render(piece))


def _equation(content: str, numbers: dict[str, int]) -> str:
    label, latex = re.match(r"(?::label: *(\S+) *\n)?(.*)", content, re.DOTALL).groups()  # type: ignore[union-attr]
    if label is None:
        return f'<div class="equation">{mathml(latex, display=True)}</div>'
    cited = html.escape(label.partition(":")[2])  # as docstrings do
    name = f'<a class="number" href="#{anchor(label)}" title="{html.escape(label)}"><small>{cited}</small> ({numbers[label]})</a>'
    return f'<div class="equation" id="{anchor(label)}">{mathml(latex, display=True)}{name}</div>'


def _anchored(rendered: str) -> str:
    """Return the page with ids at its headings, and with tables that scroll where the screen is narrow."""
    rendered = rendered.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return re.sub(r"<h([23])>(.*?)</h\1>", lambda match: f'<h{match[1]} id="{_slug(match[2])}">{match[2]}</h{match[1]}>', rendered)


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"<[^>]+>", "", heading).lower()).strip("-")
