"""How `make site` makes a book of the lectures and of what is known elsewhere: pages.py writes those pages before Sphinx reads them."""

import inspect
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import directives
import pages

project = "Deep reinforcement learning"
author = "the authors of deep-rl-unit"
version = release = version_of("deep-rl-unit")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["build", "_static"]

html_theme = "furo"
html_title = "Deep reinforcement learning"
html_static_path = ["_static"]
html_css_files, html_js_files = ["site.css"], ["print.js"]  # on paper all answers are open
html_copy_source = False
html_show_search_summary = False  # it would fetch the pages found, which a browser refuses to pages that are files
html_show_copyright = html_show_sphinx = False
html_math_renderer = "mathml"
pygments_style, pygments_dark_style = "default", "github-dark"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_code_prompt_show, nb_code_prompt_hide = "the code", "hide the code"
nb_execution_mode = "off"  # the cells were run by npfl139.lecture.reference, which knows what they depend on

default_role = "code"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Types of torch, numpy and others, whose inventories only the network has; and what is imported for convenience from two places.
nitpick_ignore_regex = [("py:.*", r"(?!npfl139)[\w.]+")]
nitpick_ignore = [("py:class", "npfl139.distributed.team.Deliveries")]  # returned, and of no use by its name
suppress_warnings = ["config.cache", "ref.python"]
copybutton_selector = "div.highlight-ipython3 pre, div.highlight-python pre"


def literal_formulas(app, what, name, obj, options, lines):
    """Make literal blocks of the formulas that stand indented in a docstring, and code of what reStructuredText would take for markup."""
    text = inspect.cleandoc("\n".join(lines))
    if text.startswith("Alias for field number"):  # of a named tuple, whose fields are told in comments
        text = pages.comment_of(name)
    text = re.sub(
        r"(?m)^(?!\s|Args:|Returns:|Raises:|Yields:|Source:|>>>|-|\*)(.+)\n\n(?=    \S)", lambda match: f"{match[1]}\n\n::\n\n", text
    )
    if what in ("attribute", "property"):
        text = text.replace(": ", " – ", 1)  # what precedes a colon would be taken for the type
    text = re.sub(r"(?m)^Source: ", "**Source:** ", text)
    lines[:] = [line if line.startswith(("    ", ">>>")) else re.sub(r"(?<!\*)\*(?!\*)|\|", r"\\\g<0>", line) for line in text.split("\n")]


def setup(app):
    """Connect what is ours."""
    directives.setup(app)
    app.connect("builder-inited", lambda app: pages.write(Path(app.srcdir)))
    app.connect("autodoc-process-docstring", literal_formulas, priority=100)
    return {"parallel_read_safe": True}
