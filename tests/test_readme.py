"""What the README says of topics and files is so."""

import re
from pathlib import Path

import pytest

from grader.release.readme import ours, topics_table, with_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_up_to_date():
    assert with_table(README, "topics", topics_table(ours())) == README, "run python -m grader.release.readme"


def test_a_table_is_replaced_where_its_comments_stand():
    text = "before\n<!-- topics -->\nold\n\\1 rows\n<!-- /topics -->\nafter\n"
    assert with_table(text, "topics", "| \\1 |\n") == "before\n<!-- topics -->\n| \\1 |\n<!-- /topics -->\nafter\n"


def test_the_comments_must_stand_once():
    with pytest.raises(ValueError, match="<!-- topics --> and <!-- /topics --> must stand once around the table, but do 0 times"):
        with_table("<!-- thresholds -->\n", "topics", "")


def test_what_the_readme_links_to_is_there():
    linked = [target for target in re.findall(r"\]\(([^)#]+)", README) if not target.startswith("http")]
    assert len(linked) >= 5 and [target for target in linked if not (ROOT / target).exists()] == []
