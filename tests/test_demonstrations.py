"""What `npfl139 demo` shows of each topic: pictures of its own, or an agent that is shipped trained."""

import importlib
import json
import shutil
import sys
import types
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from grader.contract.registry import available, load
from grader.release import demonstrations
from npfl139 import comparison, demonstration, film, runs, watching
from npfl139.catalogue import assignments
from npfl139.checkpoints import save_checkpoint
from npfl139.examples import missing_exercise
from npfl139.film import Frame
from npfl139.modules import define
from tests.test_cli import AGENT

SHIPPED = {name: item.checkpoint for name, item in assignments().items() if item.checkpoint.exists()}
STAGED = [name for name in available() if hasattr(importlib.import_module(f"solutions.{name}"), "demonstration")]


def test_every_topic_has_something_to_show():
    assert SHIPPED.keys() | set(STAGED) == set(available())
    assert sum(path.stat().st_size for path in SHIPPED.values()) < 2**20


@pytest.mark.parametrize("name", available())
def test_the_film_of_a_topic_moves_at_a_speed_that_can_be_watched(name):
    show = demonstration.filmed(assignments()[name].film, name)
    frames = list(show.frames(1))
    assert 1 < len(frames) <= demonstrations.FILM_FRAMES and any((frame.image != frames[0].image).any() for frame in frames)
    assert 3 < len(frames) / show.frames_per_second < 60


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_agent_loads_into_the_solution_and_plays(name):
    show = demonstration.restored(importlib.import_module(f"solutions.{name}"), SHIPPED[name], None, seed=1)
    (frame,) = islice(show.frames(1), 1)
    assert frame.image.ndim == 3 and frame.image.dtype == np.uint8 and frame.image.std() > 0
    (told,) = show.told(1)
    assert told.startswith(f"{show.title}: return ")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_agent_says_how_it_was_made_and_has_the_curves_of_all_seeds(name, tmp_path):
    metadata = runs.read_metadata(SHIPPED[name])
    assert metadata["agent"] == name and metadata["made_by"].startswith(f"python -m grader.release.demonstrations {name}")
    shutil.copy(SHIPPED[name], tmp_path / "agent.safetensors")
    (band,) = comparison.references(tmp_path)
    assert band.runs == len(demonstrations.SEEDS) and band.label == f"the reference of {name}, 3 seeds"
    assert (band.low <= band.mean).all() and (band.mean <= band.high).all()


def test_a_run_elsewhere_or_of_an_agent_that_tells_no_topic_has_the_references_of_its_environment(tmp_path):
    there = "The reference was trained in CartPole-v1; to compare with it: npfl139 train ppo.py --env CartPole-v1"
    for agent, environment, topics, told in (
        ("ppo.py", "elsewhere", [], there),
        ("mine", "CartPole-v1", ["trpo", "ppo"], ""),
        ("my_trpo", "CartPole-v1", ["trpo"], ""),
        ("retrace", "elsewhere", [], ""),
    ):
        save_checkpoint(tmp_path / "agent.safetensors", torch.nn.Linear(1, 1), {"agent": agent, "environment": environment, "config": "{}"})
        assert [band.label for band in comparison.references(tmp_path)] == [f"the reference of {topic}, 3 seeds" for topic in topics]
        assert comparison.reference_elsewhere(tmp_path) == told


@pytest.mark.parametrize("name", SHIPPED)
def test_before_any_exercise_is_written_a_shipped_agent_plays_or_the_exercise_that_it_needs_is_named(name):
    skeleton = load(name).solution.parent.parent / "assignments" / f"{name}.py"
    module = define(f"skeleton_of_{name}", skeleton.read_text(), str(skeleton))
    try:
        assert len(list(demonstration.restored(module, SHIPPED[name], None, seed=1).told(1))) == 1
    except NotImplementedError as error:
        assert missing_exercise(error) in load(name).exercises


@pytest.mark.parametrize("name", STAGED)
def test_a_topic_that_demonstrates_itself_tells_what_it_shows(name):
    show = demonstration.staged(importlib.import_module(f"solutions.{name}"))
    frames = list(islice(show.frames(1), 2))
    assert all(frame.image.dtype == np.uint8 and frame.image.shape[2] == 3 for frame in frames)
    assert (frames[0].image != frames[1].image).any()
    assert all(":" in sentence for sentence in show.told(1))


@pytest.fixture
def solution():
    """Make a solution of the topic `toy`."""
    yield lambda content: define("solutions.toy", content, "toy.py")
    del sys.modules["solutions.toy"]


def test_an_agent_is_made_with_its_provenance(tmp_path, monkeypatch, solution):
    (tmp_path / "assignments").mkdir()
    module = solution(AGENT.replace("steps=64", "steps=400"))
    monkeypatch.setattr(demonstrations, "load", lambda name: types.SimpleNamespace(solution=tmp_path / "solutions" / "toy.py"))
    path = demonstrations.make("toy")
    assert path == tmp_path / "assignments" / "toy.safetensors"
    metadata = runs.read_metadata(path)
    assert metadata["environment"] == "CartPole-v1" and "median" in metadata["evaluation"]
    assert len(json.loads(metadata["curves"])["returns"]) == len(demonstrations.SEEDS)
    assert list(demonstration.restored(module, path, None, seed=1).told(1))
    made = demonstrations.make_film("toy")
    assert made == tmp_path / "assignments" / "toy.webp" and len(list(demonstration.filmed(made, "toy").frames(1))) > 1


def test_what_demonstrates_itself_or_has_no_agent_is_not_trained(solution):
    for content in ("", "def demonstration():\n    pass\n\n\ndef make_agent():\n    pass\n"):
        solution(content)
        assert demonstrations.make("toy") is None


def test_two_films_side_by_side_wait_for_the_longer_one():
    small, large = np.zeros((2, 3, 3), np.uint8), np.ones((4, 5, 3), np.uint8)
    frames = list(film.beside([Frame(small, "a")], [Frame(large, "b"), Frame(large, "c")]))
    assert [frame.caption for frame in frames] == ["a   |   b", "a   |   c"]
    assert frames[0].image.shape == (4, 3 + film.GAP + 5, 3)
    assert list(film.beside([], [Frame(large)])) == []


def test_a_film_of_nothing_is_not_written(tmp_path):
    with pytest.raises(film.FilmError, match="there is nothing to film"):
        film.save([], tmp_path / "one.gif", 10)


def test_without_the_encoder_of_mp4_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(film.FilmError, match=r"pip install 'deep-rl-unit\[film\]'"):
        film.save([Frame(np.zeros((2, 2, 3), np.uint8))], Path(tmp_path / "one.mp4"), 10)


def test_pictures_of_half_blocks_keep_their_colours_and_their_shape():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:20] = 255, 0, 0
    text = film.text_picture(image, 20, 100)
    assert text.plain == ("▀" * 20 + "\n") * 5
    assert (text.spans[0].style.color.name, text.spans[-1].style.bgcolor.name) == ("#ff0000", "#000000")


def shown_on_time(monkeypatch, making: float, drawing: float, count: int = 41) -> tuple[list[int], float]:
    """Return which pictures of a film of 20 a second are shown, and how long it takes, where each costs so many seconds."""
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(watching, "time", types.SimpleNamespace(monotonic=lambda: now, sleep=wait))
    shown = []
    for picture in watching._on_time((wait(making) or number for number in range(count)), 20):
        shown.append(picture)
        wait(drawing)
    return shown, now


def test_a_film_that_is_drawn_too_slowly_leaves_out_pictures_and_keeps_its_speed(monkeypatch):
    every = list(range(41))
    assert shown_on_time(monkeypatch, making=0, drawing=0.01) == (every, pytest.approx(2.01))
    shown, seconds = shown_on_time(monkeypatch, making=0.001, drawing=0.12)
    assert 10 < len(shown) < 25 and shown[-1] == 40 and seconds == pytest.approx(2.1, abs=0.15)
    shown, seconds = shown_on_time(monkeypatch, making=0.3, drawing=0.01)
    assert shown == every and seconds > 41 * 0.3, "who makes them slowly is not hurried"
    assert shown_on_time(monkeypatch, making=0, drawing=0, count=0)[0] == []


def test_moves_are_played_slowly_enough_to_be_followed():
    agent = types.SimpleNamespace(act=lambda observation, reward, first: np.zeros(len(observation), np.int64))
    speeds = {name: demonstration.played(agent, name, 1).frames_per_second for name in ("npfl139/TwoRooms-v0", "CartPole-v1")}
    assert speeds == {"npfl139/TwoRooms-v0": demonstration.UNHURRIED, "CartPole-v1": 50}
