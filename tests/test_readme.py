"""The tables of the README are those that the topics make."""

from pathlib import Path

import pytest

from grader.release.readme import ours, tables, with_tables

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_tables_are_up_to_date():
    text = README.read_text(encoding="utf-8")
    assert with_tables(text, tables(ours())) == text, "run python -m grader.release.readme"


def test_a_table_is_replaced_where_its_comments_stand():
    text = "before\n<!-- topics -->\nold\n\\1 rows\n<!-- /topics -->\nafter\n"
    assert with_tables(text, {"topics": "| \\1 |\n"}) == "before\n<!-- topics -->\n| \\1 |\n<!-- /topics -->\nafter\n"


def test_the_comments_must_stand_once():
    with pytest.raises(ValueError, match="<!-- topics --> and <!-- /topics --> must stand once around the table, but do 0 times"):
        with_tables("<!-- thresholds -->\n", {"topics": ""})
