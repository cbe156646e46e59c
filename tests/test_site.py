"""The pages that the site is made of: all facts from where they are kept, and no line of a solution among them."""

import re
from pathlib import Path

import pytest
from docutils import nodes

from docs import directives, pages
from grader.contract.registry import available, load
from grader.release.skeleton import removed_lines
from npfl139.equations import equations

TOPICS = [load(name) for name in available()]
DOCS = Path(pages.__file__).parent


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, str]:
    """The text of each page."""
    out = tmp_path_factory.mktemp("docs")
    pages.write(out)
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.*")}


def test_every_topic_has_a_lecture_in_the_contents(written):
    contents = (DOCS / "index.md").read_text()
    for topic in TOPICS:
        assert f"lectures/{topic.name}.ipynb" in written
        assert f"\nlectures/{topic.name}\n" in contents
    listed = re.findall(r"^(?:lectures|indexes|api)/\S+$", contents, re.MULTILINE)
    assert {name.rpartition(".")[0] for name in written if not name.startswith("api/npfl139")} == set(listed)


def test_no_line_of_a_solution_is_published(written):
    for topic in TOPICS:
        lines = {line for line in removed_lines(topic.solution.read_text(), topic.exercises) if len(re.sub(r"\s", "", line)) >= 25}
        assert lines
        assert [(name, line) for name, text in written.items() for line in lines if line in text] == []


def test_the_indexes_have_every_equation_exercise_mistake_and_check(written):
    assert all(f"`[{label}]`" in written["indexes/equations.md"] for label in equations() if label.partition(":")[0] in available())
    for topic in TOPICS:
        assert all(f"`{exercise}`" in written["indexes/topics.md"] for exercise in topic.exercises)
        assert all(pages._plain(mistake.hint) in written["indexes/mistakes.md"] for mistake in topic.mistakes)
        assert f"| {topic.name} |" in written["indexes/proof.md"]
    assert "@" not in written["indexes/proof.md"]
    assert "| `clip_epsilon` | `0.2` | ε, Eq. 7 |" in written["indexes/symbols.md"]
    assert written["indexes/papers.md"].count("1707.06347)") == 1, "a paper that several lectures name is listed once"


def test_the_films_are_small_and_each_is_shown(written):
    films = list((DOCS / "_static" / "films").iterdir())
    assert films and sum(film.stat().st_size for film in films) <= 1_500_000
    assert sorted(re.findall(r'_static/films/([^"]+)"', written["indexes/gallery.md"])) == sorted(film.name for film in films)


def test_the_field_of_a_named_tuple_is_told_by_its_comment():
    assert pages.comment_of("npfl139.comparison.Band.mean") == "[P] over seeds"
    assert pages.comment_of("npfl139.comparison.Run.path") == ""


@pytest.mark.parametrize(
    ("before", "after", "spans"),
    [
        ("of ", ", and", [("x,", "of  and")]),
        ("as (", ").", [("(x).", "as ")]),
        ("of ", " and", []),
        (None, None, []),
        ("see (", None, [("(x", "see ")]),
    ],
)
def test_no_line_breaks_between_a_formula_and_its_punctuation(before, after, spans):
    parts = [nodes.Text(before) if before else None, nodes.math("x", "x"), nodes.Text(after) if after else None]
    paragraph = nodes.paragraph("", "", *filter(None, parts))
    directives.unbroken(next(paragraph.findall(nodes.math)))
    assert paragraph.astext() == f"{before or ''}x{after or ''}"
    found = list(paragraph.findall(nodes.inline))
    assert [(span.astext(), "".join(part.astext() for part in paragraph if part is not span)) for span in found] == spans
    assert all(span["classes"] == ["unbroken"] for span in found)


def test_colours_of_the_theme_are_taken_where_the_theme_sets_them():
    """It sets them on body: what is taken at the root is empty, and text in interactive figures black on black."""
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", (DOCS / "_static" / "site.css").read_text())
    assert [selector for selector, rule in rules if "var(--color-" in rule and selector.strip() in (":root", "html")] == []
