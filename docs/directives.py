"""What the lectures' Markdown has besides MyST: exercises with folded answers, figures that react; and formulas as MathML."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from npfl139.lecture.markup import interactive, mathml

LECTURES = Path(__file__).resolve().parent.parent / "lectures"


def _raw(html: str) -> nodes.raw:
    return nodes.raw("", html, format="html")


class Exercise(SphinxDirective):
    """A question to the reader; they are counted in each lecture."""

    has_content, required_arguments, final_argument_whitespace = True, 1, True

    def run(self) -> list[nodes.Node]:
        """Return an admonition."""
        number = self.env.temp_data["exercises"] = self.env.temp_data.get("exercises", 0) + 1
        heading, messages = self.parse_inline(f"Exercise {number}. {self.arguments[0]}")
        title = nodes.title("", "", *heading)
        return [nodes.admonition("", title, *self.parse_content_to_nodes(), classes=["exercise"]), *messages]


class Answer(SphinxDirective):
    """What the question asks for, folded."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the content between the tags of a fold."""
        return [_raw('<details class="answer"><summary>Answer</summary>'), *self.parse_content_to_nodes(), _raw("</details>")]


class Interactive(SphinxDirective):
    """A figure that reacts."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the figure as it is."""
        lecture = LECTURES / f"{Path(self.env.docname).name}.md"
        return [_raw(interactive(lecture, self.arguments[0]))]


class Unbroken(SphinxPostTransform):
    """No line begins with the comma after a formula, or ends with the bracket before it, which browsers would allow."""

    default_priority = 900

    def run(self) -> None:
        """Put every formula of the page and what belongs to it into one span."""
        for formula in list(self.document.findall(nodes.math)):
            unbroken(formula)


def unbroken(formula: nodes.math) -> None:
    """Put a formula, the bracket before it and the punctuation after it into a span in which no line ends."""
    parent, place = formula.parent, formula.parent.index(formula)
    before, after = (parent[at] if 0 <= at < len(parent) else None for at in (place - 1, place + 1))
    bracket = re.search(r"[(\[“]$", before) if isinstance(before, nodes.Text) else None
    punctuation = re.match(r"[,.;:!?)\]”]+", after) if isinstance(after, nodes.Text) else None
    inside: list[nodes.Node] = [formula.deepcopy()]
    if punctuation:
        parent[place + 1] = nodes.Text(after[punctuation.end() :])
        inside.append(nodes.Text(punctuation[0]))
    if bracket:
        parent[place - 1] = nodes.Text(before[: bracket.start()])
        inside.insert(0, nodes.Text(bracket[0]))
    if len(inside) > 1:
        parent[place] = nodes.inline("", "", *inside, classes=["unbroken"])


def _inline(translator, node) -> None:
    translator.body.append(mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _block(translator, node) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="equation"))
    translator.body.append(mathml(node.astext(), display=True))
    if node["number"]:
        cited = (node["label"] or "").partition(":")[2]  # as docstrings do
        translator.body.append(f'<span class="number"><small>{cited}</small> ({node["number"]})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app) -> None:
    """Add them to Sphinx."""
    app.add_directive("exercise", Exercise)
    app.add_directive("answer", Answer)
    app.add_directive("interactive", Interactive)
    app.add_post_transform(Unbroken)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
