"""Curves in a terminal."""

from npfl139.charts import Curve, chart


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    lines = chart([Curve([0, 10], [1.0, 3.0])], width=14, height=4).plain.split("\n")
    assert [line[:3] for line in lines[:3]] == ["3 │", "  │", "1 │"]
    assert lines[0][3:].strip() and lines[0][3:].startswith(" ") and lines[2].endswith(" ")
    assert lines[3].split() == ["0", "10"] and {len(line) for line in lines} <= {13, 14}


def test_a_constant_and_a_single_point_are_drawn():
    assert any(character > "\u2800" for character in chart([Curve([5], [2.0])], 20, 5).plain)
    assert any(character > "\u2800" for character in chart([Curve([0, 1], [2.0, 2.0])], 20, 5).plain)


def test_without_points_it_says_so():
    assert chart([Curve([], [])], 20, 5).plain == "no data yet"


def test_curves_have_colours_of_their_own():
    drawn = chart([Curve([0, 1], [0.0, 0.0]), Curve([0, 1], [1.0, 1.0])], 20, 5)
    assert {"cyan", "magenta"} <= {str(span.style) for span in drawn.spans}
