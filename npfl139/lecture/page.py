"""A lecture as one HTML file that needs nothing else: text, formulas, code, the reader's figures beside the reference's."""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from npfl139.lecture.markup import MATH_STYLE, highlighted, prose
from npfl139.lecture.running import Shown
from npfl139.lecture.text import Prose, parts, title

__all__ = ["is_wide", "page"]

TEMPLATE = Path(__file__).with_name("page.html")
WIDE = 510  # points
LONG = 44  # characters that half of a page holds


def page(lecture: Path, reference: Sequence[Shown] | None, own: Sequence[Shown] | None = None, name: str = "") -> str:
    """Return the page.

    Args:
        lecture: the source.
        reference: what the cells show with the solution, None where it is not known.
        own: what they show with the reader's file, None without one.
        name: of that file.

    Raises:
        ValueError: the source has something that cannot be shown.
    """
    text = lecture.read_text(encoding="utf-8")
    rendered, number, body = prose(lecture, text), 0, []
    for part in parts(text):
        if isinstance(part, Prose):
            body.append(rendered(part.markdown))
        else:
            mine, theirs = own[number] if own else None, reference[number] if reference else None
            number += 1
            body.append(_cell(number, part.source, mine, theirs, name))
    heading, *rest = body
    front = _contents(body) + (_summary(own, reference, name) if own else "")
    heading = heading.replace("</h1>", f"</h1>{front}", 1)
    styles = {"math": MATH_STYLE, "code": _code_style()}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        styles, title=html.escape(title(text)), body="\n".join([heading, *rest])
    )


def _cell(number: int, source: str, mine: Shown | None, theirs: Shown | None, name: str) -> str:
    code = f'<details class="code"><summary>code</summary>{highlighted(source)}</details>'
    return f'<div class="cell" id="cell-{number}">{code}{_outputs(mine, theirs, name)}</div>'


def _outputs(mine: Shown | None, theirs: Shown | None, name: str) -> str:
    if mine is None or theirs is None:
        shown = mine or theirs
        return _output(shown, "") if shown is not None else ""
    if mine == theirs:
        return _output(theirs, f"{name} and the reference give the same") if theirs.figures or theirs.printed else ""
    has_long_lines = any(len(line) > LONG for line in (mine.printed + theirs.printed).splitlines())
    placed = "above" if has_long_lines or any(map(is_wide, mine.figures + theirs.figures)) else "beside"
    return f'<div class="{placed}">{_output(mine, name)}{_output(theirs, "reference")}</div>'


def is_wide(figure: bytes) -> bool:
    """Return whether half of a page, or a phone, is too narrow for an SVG."""
    width = re.search(rb'<svg[^>]* width="([\d.]+)pt"', figure)
    return width is not None and float(width[1]) > WIDE


def _output(shown: Shown, caption: str) -> str:
    pictures = ((base64.b64encode(figure).decode(), html.escape(words)) for figure, words in zip(shown.figures, shown.words, strict=True))
    inside = "".join(f'<img src="data:image/svg+xml;base64,{picture}" alt="{words}">' for picture, words in pictures)
    if shown.printed:
        inside = f"<pre>{html.escape(shown.printed.rstrip())}</pre>" + inside
    if shown.missing:
        inside += f'<div class="open"><span><code>{html.escape(shown.missing)}</code> is not written yet</span></div>'
    if shown.problem:
        inside += f'<div class="problem">{html.escape(shown.problem)}</div>'
    if not inside:
        inside = '<div class="open">nothing to see</div>' if caption else ""
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{inside}{below}</figure>" if inside else ""


def _summary(own: Sequence[Shown], reference: Sequence[Shown] | None, name: str) -> str:
    """Say what became of the cells: which wait for an exercise, which show something else, and that those that wait tell nothing."""
    missing = dict.fromkeys(f"<code>{html.escape(shown.missing)}</code>" for shown in own if shown.missing)
    whole = [number for number, shown in enumerate(own, 1) if shown.is_whole]
    lines = [
        f"The figures are drawn with the functions of <code>{html.escape(name)}</code>, where they differ beside those of the reference."
    ]
    if missing:
        lines.append(f"Figures wait until these are written: {', '.join(missing)}.")
    if len(whole) < len(own):
        lines.append(f"{len(own) - len(whole)} of {len(own)} cells did not come to their end, and tell nothing yet about your functions.")
    if reference is not None:
        differing = [f'<a href="#cell-{number}">{number}</a>' for number in whole if own[number - 1] != reference[number - 1]]
        what = f"something else than with the reference: cell {', '.join(differing)}" if differing else "the same as with the reference"
        lines.append(f"{len(differing) or len(whole)} of {len(own)} cells {'shows' if len(differing or whole) == 1 else 'show'} {what}.")
    return f'<div class="summary">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def _contents(body: list[str]) -> str:
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', "".join(body))
    items = "".join(f'<li><a href="#{anchor}">{text}</a></li>' for anchor, text in headings)
    return f"<nav><ul>{items}</ul></nav>"


def _code_style() -> str:
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=style, cssclass="highlight").get_style_defs(".highlight") for style in ("default", "github-dark"))
    plain = ".highlight, .highlight pre { background: var(--soft); }"
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n{plain}"
