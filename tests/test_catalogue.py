"""The assignments that the students' commands find, and those that they leave alone."""

import json

import pytest

from npfl139 import catalogue

ENTRY = {"title": "A toy", "points": {"f": 1.0}, "training_points": 0, "prerequisites": []}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Write an assignment into a folder of one of the places that are searched."""
    places = [tmp_path / name for name in ("installed", "path", "work")]
    for folder in places:
        (folder / "assignments").mkdir(parents=True)
    monkeypatch.setattr(catalogue, "__file__", str(places[0] / "npfl139" / "catalogue.py"))
    monkeypatch.setattr(catalogue.sys, "path", [str(places[1])])
    monkeypatch.chdir(places[2])

    def write(where: str, name: str, **fields: object) -> None:
        (tmp_path / where / "assignments" / f"{name}.json").write_text(json.dumps(ENTRY | fields))

    return write


def test_every_distribution_adds_its_own_and_the_order_is_that_of_all(place):
    place("installed", "late", place=9)
    place("path", "early", place=1)
    place("work", "zero", place=0, prerequisites=["late"])
    place("work", "unplaced")
    assert list(catalogue.assignments()) == ["early", "late", "zero", "unplaced"]


def test_the_first_of_a_name_counts(place):
    place("installed", "toy", title="first")
    place("work", "toy", title="second")
    assert catalogue.assignment("toy").title == "first"


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"title": "only"}', '{"title": 1, "points": {}, "training_points": 0, "prerequisites": 3}']
)
def test_other_json_in_a_folder_of_that_name_is_left_alone(place, tmp_path, text):
    place("installed", "toy")
    (tmp_path / "work" / "assignments" / "other.json").write_text(text)
    assert list(catalogue.assignments()) == ["toy"]
