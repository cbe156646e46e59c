"""The command as a student meets it: every answer is a sentence, every status is right."""

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npfl139.cli
import npfl139.terminal
from grader.release.skeleton import make_notebook
from npfl139 import DISTRIBUTION, catalogue
from npfl139.demonstration import played

SKELETON = '''\
# %%
"""A toy."""

# %%
def doubled(x):
    """Return 2x.

    >>> doubled(2)
    4
    >>> y = doubled(0.5)
    >>> y
    1.0
    """
    raise NotImplementedError("doubled")


def quadrupled(x):
    """Return 4x.

    >>> quadrupled(1)
    4
    """
    raise NotImplementedError("quadrupled")


class Counter:
    def __init__(self):
        self.count = 0

    def add(self, step):
        """Add a step."""
        raise NotImplementedError("Counter.add")
'''
DOUBLED, QUADRUPLED, ADD = 'NotImplementedError("doubled")', 'NotImplementedError("quadrupled")', 'NotImplementedError("Counter.add")'


def written(**bodies: str) -> str:
    """Return the skeleton with some exercises written: doubled=..., quadrupled=..., add=... are statements."""
    text = SKELETON
    for name, body in bodies.items():
        text = text.replace(f"raise {dict(doubled=DOUBLED, quadrupled=QUADRUPLED, add=ADD)[name]}", body)
    return text


COMPLETE = written(doubled="return 2 * x", quadrupled="return doubled(doubled(x))", add="self.count += step")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty working directory, next to a project with the assignments `toy` and `toy_two`, with nothing of ours on the path."""
    importlib.import_module("deep_rl_unit")  # while it can be found
    folder = tmp_path / "project" / "assignments"
    folder.mkdir(parents=True)
    entry = {"title": "A toy", "points": {"doubled": 1, "quadrupled": 2.5, "Counter.add": 1}, "training_points": 3, "prerequisites": []}
    index = {"toy": entry, "toy_two": entry | {"title": "Another", "prerequisites": ["toy"]}}
    for name, entry in index.items():
        (folder / f"{name}.json").write_text(json.dumps(entry))
        (folder / f"{name}.py").write_text(SKELETON)
        (folder / f"{name}.ipynb").write_text(make_notebook(SKELETON))
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "project" / "npfl139" / "catalogue.py"))
    monkeypatch.setattr(catalogue.sys, "path", [path for path in sys.path if not (Path(path) / "assignments").is_dir()])
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def test_topics_lists_titles_points_prerequisites_and_exercises(project, command):
    status, printed, _ = command("topics")
    assert status == 0
    assert printed.splitlines() == [
        "toy", "  A toy, 7.5 points", "  doubled, quadrupled, Counter.add",
        "toy_two", "  Another, 7.5 points, builds on toy", "  doubled, quadrupled, Counter.add",
        "", "Begin with npfl139 start TOPIC, or watch what it is about: npfl139 demo TOPIC",
    ]  # fmt: skip


def test_start_copies_the_program_or_the_notebook(project, command):
    status, printed, _ = command("start", "toy_two")
    assert (project / "toy_two.py").read_text() == SKELETON
    assert status == 0 and "It builds on toy, whose solutions it imports." in printed and "npfl139 check toy_two.py" in printed
    assert command("start", "toy", "--notebook", "--out", "new/folder")[0] == 0
    assert (project / "new/folder/toy.ipynb").read_text() == make_notebook(SKELETON)


def test_start_overwrites_nothing_unless_told_to(project, command):
    (project / "toy.py").write_text("my work")
    status, _, complaint = command("start", "toy")
    assert (status, (project / "toy.py").read_text()) == (2, "my work")
    assert complaint == "npfl139: toy.py exists already, perhaps with your work in it: name another folder with --out, or add --force\n"
    assert command("start", "toy", "--force")[0] == 0
    assert (project / "toy.py").read_text() == SKELETON


def test_start_explains_a_folder_that_cannot_be_made(project, command):
    (project / "file").write_text("")
    status, _, complaint = command("start", "toy", "--out", "file/folder")
    assert (status, complaint) == (2, "npfl139: cannot write file/folder/toy.py: Not a directory\n")


def test_start_does_not_copy_a_file_onto_itself(project, command):
    folder = project.parent / "project" / "assignments"
    assert command("start", "toy", "--out", str(folder), "--force")[0] == 2
    assert (folder / "toy.py").read_text() == SKELETON


@pytest.mark.parametrize("arguments", [("start", "toys"), ("check", "toys.py", "--topic", "toys")])
def test_an_unknown_topic_is_answered_with_the_nearest(project, command, arguments):
    status, _, complaint = command(*arguments)
    assert (status, complaint) == (2, "npfl139: there is no assignment 'toys'; did you mean 'toy'?\n")


def test_an_unknown_topic_that_is_near_none_is_answered_with_all(project, command):
    assert command("start", "zebra")[2] == "npfl139: there is no assignment 'zebra'; there are toy, toy_two\n"


def test_without_assignments_the_command_says_where_to_run_it(project, command, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "elsewhere" / "npfl139" / "catalogue.py"))
    status, _, complaint = command("topics")
    assert (status, complaint) == (2, "npfl139: there is no folder assignments/ here: run the command in the folder that holds it\n")
    below = tmp_path / "project" / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    assert command("topics")[0] == 0


def test_check_passes_a_complete_file(project, command):
    (project / "toy.py").write_text(COMPLETE)
    status, printed, _ = command("check", "toy.py")
    assert status == 0
    assert [line.split() for line in printed.splitlines()[1:4]] == [
        ["doubled", "passed", "2", "examples"],
        ["quadrupled", "passed", "1", "example"],
        ["Counter.add", "passed", "no", "public", "example"],
    ]
    assert "3 of 3 exercises pass their examples. The grader checks more than these." in printed


def test_check_passes_a_complete_notebook_with_magics_and_displays(project, command):
    notebook = json.loads(make_notebook(COMPLETE))
    notebook["cells"].insert(0, {"cell_type": "code", "source": "%matplotlib inline\n!pip list\ndisplay('a', clear=True)"})
    (project / "my_toy.ipynb").write_text(json.dumps(notebook))
    assert command("check", "my_toy.ipynb")[0] == 0


def test_check_of_the_untouched_skeleton_lists_every_stub(project, command):
    (project / "toy.py").write_text(SKELETON)
    status, printed, _ = command("check", "toy.py")
    assert status == 1
    assert printed.count("missing  not implemented yet") == 3
    assert "0 of 3 exercises pass" in printed


def test_check_shows_the_expected_and_the_actual_result(project, command):
    (project / "toy.py").write_text(written(doubled="return 3 * x"))
    status, printed, _ = command("check", "toy.py")
    assert status == 1
    assert "doubled      failed   example 1 of 2: not as expected" in printed
    assert "doubled\n>>> doubled(2)\nexpected\n    4\ngot\n    6\n" in printed


def test_check_shows_the_lines_that_prepare_a_failing_example(project, command):
    (project / "toy.py").write_text(written(doubled="return 4 if x == 2 else 0"))
    assert "doubled\n>>> y = doubled(0.5)\n>>> y\nexpected\n    1.0\ngot\n    0\n" in command("check", "toy.py")[1]


def test_check_says_by_which_exercise_another_one_is_blocked(project, command):
    (project / "toy.py").write_text(written(quadrupled="return doubled(doubled(x))"))
    assert "quadrupled   blocked  blocked by doubled, which is not implemented yet" in command("check", "toy.py")[1]


def test_check_recognizes_a_stub_behind_other_code(project, command):
    (project / "toy.py").write_text(written(doubled=f"y = 2 * x\n    raise {DOUBLED}"))
    assert "doubled      missing  not implemented yet" in command("check", "toy.py")[1]


def test_check_quotes_the_line_that_raises(project, command):
    (project / "toy.py").write_text(written(doubled="return [][x]"))
    printed = command("check", "toy.py")[1]
    assert ">>> doubled(2)\nraised IndexError: list index out of range, in line 14: return [][x]\n" in printed


def test_check_finds_an_error_in_the_cell_of_a_notebook(project, command):
    (project / "toy.ipynb").write_text(make_notebook(written(doubled="return [][x]")))
    assert "in cell 2, line 10: return [][x]" in command("check", "toy.ipynb")[1]


def test_check_takes_the_examples_of_the_assignment_whatever_the_docstring_became(project, command):
    edited = COMPLETE.replace("return 2 * x", "return 3 * x").replace(">>> doubled(2)\n    4", ">>> doubled(2)\n    6")
    (project / "toy.py").write_text(edited)
    assert "expected\n    4\ngot\n    6\n" in command("check", "toy.py")[1]


def test_check_names_what_is_not_defined_any_more(project, command):
    (project / "toy.py").write_text(COMPLETE.replace("def quadrupled", "def renamed").replace("class Counter", "class Renamed"))
    printed = command("check", "toy.py")[1]
    assert "quadrupled   missing  not defined" in printed and "Counter.add  missing  not defined" in printed


def test_what_a_file_prints_is_shown_apart_and_is_no_mistake(project, command):
    debugging = COMPLETE.replace("return 2 * x", "print('x is', x, end=''); return 2 * x")
    (project / "toy.py").write_text(debugging)
    status, printed, _ = command("check", "toy.py")
    assert status == 0 and "3 of 3 exercises pass" in printed
    assert "\ndoubled\nit printed:\n    x is 2x is 0.5\n\nquadrupled\nit printed:\n    x is 1x is 2\n" in printed
    (project / "toy.py").write_text(debugging.replace("return 2 * x", "return 3 * x"))
    assert "expected\n    4\ngot\n    6\nit printed:\n    x is 2\n" in command("check", "toy.py")[1]


def test_a_printed_result_is_no_returned_one(project, command):
    (project / "toy.py").write_text(written(doubled="print(x * 2, end='')", quadrupled="print(4)"))
    status, printed, _ = command("check", "toy.py")
    assert status == 1 and "doubled      failed   example 1 of 2: not as expected" in printed


def test_what_was_printed_before_an_error_is_shown(project, command):
    (project / "toy.py").write_text(written(doubled="print('x is', x); return [][x]"))
    assert "return [][x]\nit printed:\n    x is 2\n" in command("check", "toy.py")[1]


@pytest.mark.parametrize(
    ("bodies", "advice"),
    [
        ({}, "Next: write doubled, line 5."),
        ({"doubled": "return 3 * x"}, "Next: correct doubled, line 5."),
        ({"quadrupled": "return 3 * x"}, "Next: correct quadrupled, line 17."),
        ({"doubled": "return 2 * x", "quadrupled": "return Counter().add(x)"}, "Next: write Counter.add, line 30."),
        ({"doubled": "return 2 * x", "quadrupled": "return 4 * x", "add": "pass"}, "Next: hand it in."),
    ],
)
def test_check_says_what_to_write_next(project, command, bodies, advice):
    (project / "toy.py").write_text(written(**bodies))
    assert command("check", "toy.py")[1].splitlines()[-1].rstrip() == advice


def test_check_says_what_a_complete_file_can_do(project, command):
    (project / "toy.py").write_text(COMPLETE)
    lecture = project.parent / "project" / "lectures" / "toy.md"
    lecture.parent.mkdir()
    lecture.touch()
    assert command("check", "toy.py")[1].splitlines()[-1] == "Next: npfl139 lecture toy --with toy.py, or hand it in."
    assignment = project.parent / "project" / "assignments" / "toy.py"
    assignment.write_text(SKELETON + "\n\ndef train(environments, config, monitor):\n    pass\n")
    assert command("check", "toy.py")[1].splitlines()[-1] == "Next: npfl139 train toy.py, or hand it in."


def test_check_says_where_the_cited_equation_is_read(tmp_path, command):
    shutil.copyfile(catalogue.assignment("ppo").program, tmp_path / "ppo.py")
    last = command("check", str(tmp_path / "ppo.py"))[1].splitlines()[-1]
    assert re.fullmatch(
        r"Next: write lambda_advantage, line \d+. It cites equation 2 \(gae\) of the lecture ppo: npfl139 lecture ppo", last
    )


def test_ctrl_c_ends_an_example_that_does_not_end_and_tells_where_it_was(project, command):
    (project / "toy.py").write_text(written(doubled="raise KeyboardInterrupt", quadrupled="return 4 * x"))
    status, printed, _ = command("check", "toy.py")
    assert status == 1 and "quadrupled   passed" in printed
    assert "raised KeyboardInterrupt: stopped by Ctrl-C, in line 14: raise KeyboardInterrupt" in printed


def test_check_says_what_to_name_instead_of_a_folder_or_of_nothing(project, command):
    status, _, told = command("check", ".")
    assert status == 2 and told == "npfl139: . is a folder: name the .py or .ipynb file in it\n"
    status, _, told = command("check")
    assert status == 2 and told == "npfl139: Missing argument 'FILE': npfl139 check --help says what belongs there\n"


@pytest.mark.parametrize("name", ["toy1.py", "toy (2).py", "my_toy_final.py"])
def test_check_recognizes_copies_and_says_what_they_are_taken_for(project, command, name):
    (project / name).write_text(COMPLETE)
    status, printed, _ = command("check", name)
    assert status == 0 and printed.startswith(f"{name} is taken for toy.\n")
    quoted = f"'{name}'" if " " in name else name
    assert command("start", "toy", "--out", "my folder")[1].splitlines()[1] == "Check your work with: npfl139 check 'my folder/toy.py'"
    (project.parent / "project" / "assignments" / "toy.py").write_text(
        SKELETON + "\n\ndef train(environments, config, monitor):\n    pass\n"
    )
    assert command("check", name)[1].splitlines()[-1] == f"Next: npfl139 train {quoted}, or hand it in."


def test_check_tells_a_program_what_came_of_it(project, command):
    (project / "toy.py").write_text(written(doubled="return 3 * x"))
    status, printed, _ = command("check", "toy.py", "--json")
    told = json.loads(printed)
    assert (status, told["passed"], told["total"], told["next"]) == (1, 0, 3, "doubled")
    first = {name: told["exercises"][0][name] for name in ("exercise", "status", "place", "example", "expected", "got")}
    assert first == dict(exercise="doubled", status="failed", place="line 5", example=">>> doubled(2)", expected="4", got="6")
    (project / "toy.py").write_text("def f(:\n")
    assert json.loads(command("check", "toy.py", "--json")[1])["error"].startswith("Python cannot read the code in line 1")


def test_topics_tell_a_program_what_there_is(project, command):
    assert json.loads(command("topics", "--json")[1])["toy_two"]["prerequisites"] == ["toy"]


def test_watching_runs_again_when_the_file_is_saved_and_ends_with_ctrl_c(project, command, monkeypatch):
    (project / "toy.py").write_text(SKELETON)
    naps = iter([COMPLETE, None])

    def sleep(seconds: float) -> None:
        text = next(naps)
        if text is None:
            raise KeyboardInterrupt
        (project / "toy.py").write_text(text)
        os.utime("toy.py", ns=(1, 1))

    monkeypatch.setattr("npfl139.checking.time.sleep", sleep)
    status, printed, _ = command("check", "toy.py", "--watch")
    assert status == 0
    assert printed.index("0 of 3 exercises pass") < printed.index("3 of 3 exercises pass")
    assert printed.count("waiting for toy.py to be saved; Ctrl-C ends.") == 2


def test_check_shortens_long_output(project, command):
    (project / "toy.py").write_text(written(doubled="print('x\\n' * 1000)"))
    assert "... and 988 more lines" in command("check", "toy.py")[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def f(:\n", "Python cannot read the code in line 1, `def f(:`: invalid syntax\n"),
        ("x = 1\ny = z\n", "toy.py cannot be run: NameError: name 'z' is not defined, in line 2: y = z\n"),
        ("import no_such_module\n", "No module named 'no_such_module', in line 1: import no_such_module; the grader has only"),
        (
            "",
            "toy.py defines no exercise of toy: if it is of another topic, say so with --topic TOPIC; otherwise begin anew with ",
        ),
        ("raise SystemExit(3)\n", "toy.py cannot be run: SystemExit: 3, in line 1: raise SystemExit(3)\n"),
    ],
)
def test_check_explains_a_file_that_cannot_be_run(project, command, content, message):
    (project / "toy.py").write_text(content)
    status, printed, _ = command("check", "toy.py")
    assert status == 1
    assert message in printed and "Traceback" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "empty.py"), "the name of empty.py tells no topic: add --topic with one of toy, toy_two"),
        (("check", "homework.py"), "there is no file homework.py"),
        (("check", "toy.py"), "there is no file toy.py"),
        (("check", "emtpy.py", "--topic", "toy"), "there is no file emtpy.py; did you mean empty.py?"),
        (("check", "folder", "--topic", "toy"), "folder cannot be read: Is a directory"),
        (("train", "nowhere/toy.py"), "there is no file nowhere/toy.py"),
        (("train", "toy"), "there is no solution of toy here, and no file toy.py: begin with npfl139 start toy, or name your file"),
        (("train", "empty.py"), "empty.py has no function train, so there is nothing to train"),
        (("train", "broken.py"), "Python cannot read the code in line 1, `def f(:`: invalid syntax"),
        (("demo", "empty.py"), "empty.py has no agent to show"),
        (("release", "toys"), "there is no topic 'toys'; "),
        (("help",), "No such command 'help'. --help lists those that there are"),
        (("check", "my", "toy.py"), "Got unexpected extra argument(s) (toy.py): is a name with blanks without quotation marks?"),
        (("grade", "nowhere"), "there is no file or folder nowhere"),
        (("grade", "empty.py", "--topic", "toys"), "there is no topic 'toys'; "),
        (("grade", "empty.py", "--sandbox", "chroot"), "there is no sandbox 'chroot'; there are bwrap, process"),
        (("report", "nowhere"), "there is no folder nowhere"),
        (("calibrate", "toys"), "there is no topic 'toys'; "),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(project, command, arguments, message):
    (project / "empty.py").write_text("")
    (project / "broken.py").write_text("def f(:\n")
    (project / "folder").mkdir()
    status, _, complaint = command(*arguments)
    assert status == 2
    assert complaint.startswith("npfl139: ") and message in complaint and complaint.count("\n") == 1


@pytest.mark.parametrize("arguments", [("chekc",), ("start",), ("start", "toy", "--to"), ("demo", "toy", "--episodes", "0"), ("grade",)])
def test_a_wrong_command_line_has_status_2_and_no_traceback(project, command, arguments):
    status, _, complaint = command(*arguments)
    assert status == 2
    assert complaint and "Traceback" not in complaint


AGENT = """\
from dataclasses import dataclass

import numpy as np
import torch

from npfl139.config import Config


@dataclass(frozen=True)
class ToyConfig(Config):
    gain: float = 1.0  # of the observation


class Agent(torch.nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor([gain]))

    def act(self, observation, reward, first):
        return (observation[:, 2] + observation[:, 3] > 0).astype(np.int64)


CONFIGS = {"CartPole-v1": ToyConfig(steps=64, env_count=2)}


def make_agent(observation_space, action_space, config):
    return Agent(config.gain)


def train(environments, config: ToyConfig, monitor):
    agent = make_agent(environments.single_observation_space, environments.single_action_space, config)
    monitor.watch(agent)
    environments.reset()
    for step in range(config.steps // config.env_count):
        environments.step(environments.action_space.sample())
        monitor.log(2 * step, gain=config.gain)
    return agent
"""


def test_train_demo_and_the_animation(project, command):
    (project / "toy.py").write_text(AGENT)
    status, printed, _ = command("train", "toy.py", "--gain", "0.5", "--out", "run", "--episodes", "2")
    assert status == 0 and "CartPole-v1: mean return" in printed
    assert {"agent.safetensors", "log.csv", "curves.png"} <= {path.name for path in (project / "run").iterdir()}
    status, printed, _ = command("demo", "toy", "--run", "run", "--gif", "one.gif", "--episodes", "1")
    assert status == 0 and "The first episode is in one.gif.\nCartPole-v1: return 500.0\n" in printed
    assert (project / "one.gif").read_bytes().startswith(b"GIF89a")
    assert command("demo", "run", "--episodes", "1")[1] == "CartPole-v1: return 500.0\n"  # the run tells whose it is
    assert command("demo", "toy.py", "--steps", "32", "--episodes", "2")[1].count("CartPole-v1: return 500.0") == 2


SCENES = """\
import numpy as np


def demonstration():
    for step in range(3):
        yield np.full((4, 6 + step, 3), 80 * step, np.uint8), f"The scene: step {step}"
"""


def test_a_topic_may_demonstrate_itself_beside_another(project, command):
    (project / "toy.py").write_text(SCENES)
    (project / "toy_two.py").write_text(SCENES)
    assert command("demo", "toy")[:2] == (0, "The scene: step 2\n")
    assert command("demo", "toy", "--versus", "toy_two", "--gif", "both.gif", "--mp4", "both.mp4")[0] == 0
    with Image.open(project / "both.gif") as film:
        assert (film.n_frames, film.size) == (3, (2 * 8 + 8, 4))
    assert b"ftyp" in (project / "both.mp4").read_bytes()[:16]


def test_a_film_plays_in_the_terminal_and_in_a_window(project, command, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    (project / "toy.py").write_text(SCENES)
    status, printed, _ = command("demo", "toy", "--render", "terminal")
    assert status == 0 and "▀" in printed and "The scene: step 2" in printed
    assert command("demo", "toy", "--render", "human")[0] == 0
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    assert "there is no window here" in command("demo", "toy", "--render", "human")[2]


def test_the_agent_of_an_assignment_is_shown_before_anything_is_written(project, command):
    (project / "toy.py").write_text(AGENT)
    command("train", "toy.py", "--out", "run", "--episodes", "1")
    shipped = project.parent / "project" / "assignments"
    shutil.copy(project / "run" / "agent.safetensors", shipped / "toy.safetensors")
    shutil.move(project / "toy.py", shipped / "toy.py")
    assert command("demo", "toy", "--episodes", "1")[:2] == (0, "CartPole-v1: return 500.0\n")
    (shipped / "toy.py").write_text(AGENT.replace("torch.tensor([gain])", "torch.tensor([gain, gain])"))
    assert "belongs to an agent of another configuration" in command("demo", "toy")[2]


def test_where_an_exercise_lacks_the_film_of_the_reference_is_shown(project, command):
    pictures = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green", "blue")]
    film = project.parent / "project" / "assignments" / "toy.webp"
    pictures[0].save(film, save_all=True, append_images=pictures[1:], duration=500)
    status, printed, _ = command("demo", "toy")
    told = "This is the reference, filmed: doubled is not written yet in toy.py here.\n"
    assert (status, printed) == (0, f"{told}{film}, 2 seconds: a terminal with colours shows it, --render human, or a browser.\n")
    assert "▀" in command("demo", "toy", "--render", "terminal")[1]
    (project / "toy.py").write_text(COMPLETE)
    assert "toy has no agent to show" in command("demo", "toy")[2]


def test_runs_are_compared(project, command):
    (project / "toy.py").write_text(AGENT)
    for seed, gain in ((1, 1.0), (2, 1.0), (3, 2.0)):
        command("train", "toy.py", "--steps", "400", "--seed", str(seed), "--gain", str(gain), "--out", f"run{seed}", "--episodes", "1")
    runs = ("run1", "run2", "run3")
    status, printed, _ = command("plot", *runs)
    assert status == 0 and "gain=1.0, 2 runs" in printed and "one run" in printed and "tensorboard --logdir ." in printed
    (project / "stopped").mkdir()
    status, printed, complaint = command("plot", *runs, "stopped", "--json")
    assert status == 0 and complaint == "stopped is left out: it has no agent.safetensors yet\n"
    first, second = json.loads(printed)
    assert first["low"] <= first["mean"] <= first["high"] and second["low"] == second["mean"] == second["high"]
    assert [end["mean"] for end in json.loads(command("plot", *runs, "--scalar", "gain", "--json")[1])] == pytest.approx([1, 2])
    assert command("plot", *runs, "--out", "curves.pdf")[0] == 0 and (project / "curves.pdf").read_bytes().startswith(b"%PDF")
    assert "has not logged 'losses'; there are episode_length, episode_return, gain" in command("plot", "run1", "--scalar", "losses")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "toy.py", "--env", "CartPoll-v1"), "there is no environment 'CartPoll-v1'; did you mean 'CartPole-v1'?"),
        (("train", "toy.py", "--gain", "much"), "Invalid value for '--gain': expected a number, got 'much'"),
        (("train", "toy.py", "--gian", "1"), "npfl139 train toy.py: there is no option --gian; did you mean --gain?"),
        (("train", "toy.py", "--steps", "-5"), "npfl139 train toy.py: --steps must be at least 1, got -5"),
        (("demo", "toy.py", "--env", "CartPoll-v1"), "there is no environment 'CartPoll-v1'; did you mean 'CartPole-v1'?"),
        (("demo", "toy.py", "--gif", "one.mp4"), "the name of the film must end in .gif: --gif one.gif"),
        (("demo", "toy.py", "--mp4", "one.gif"), "the name of the film must end in .mp4: --mp4 one.mp4"),
        (("demo", "toy.py", "--render", "humna"), "there is no --render humna; did you mean 'human'?"),
        (("demo", "tyo"), "there is no topic 'tyo', and no file tyo.py; did you mean 'toy'?"),
        (("demo", "runs/tow"), "there is no folder runs/tow; did you mean runs/two?"),
        (("demo", "toy.py", "--versus", "tyo.py"), "there is no file tyo.py; did you mean toy.py?"),
        (("train", "tyo"), "there is no topic 'tyo', and no file tyo.py; did you mean 'toy'?"),
        (("plot", "nowhere"), "there is no folder nowhere"),
        (("plot", "runs/two", "runs/tow"), "there is no folder runs/tow; did you mean runs/two?"),
        (("plot", "empty"), "there is no agent.safetensors in empty: a training writes its first after a minute, and one that was "),
        (("plot", "runs"), "runs holds several runs: name one, such as runs/two"),
        (("plot", "runs/tow"), "there is no folder runs/tow; did you mean runs/two?"),
        (("demo", "empty"), "there is no agent.safetensors in empty: a training writes its first after a minute, and one that was "),
        (("plot", "nowhere", "--out", "curves.gif"), "the name of the picture must end in .png, .pdf or .svg: --out curves.png"),
        (("demo", "toy.py", "--run", "nowhere"), "there is no folder nowhere"),
        (("demo", "toy.py", "--gif", "nowhere/one.gif"), "there is no folder nowhere to write one.gif into"),
    ],
)
def test_what_cannot_be_trained_or_shown_is_explained(project, command, arguments, message):
    (project / "toy.py").write_text(AGENT)
    for folder in ("empty", "runs/one", "runs/two"):
        (project / folder).mkdir(parents=True)
    for run in ("one", "two"):
        (project / "runs" / run / "agent.safetensors").touch()
    status, _, complaint = command(*arguments)
    assert status == 2
    assert message in complaint and "Traceback" not in complaint
    assert complaint.startswith("npfl139") and complaint.count("\n") == 1


def test_an_error_of_torch_is_no_exercise_to_be_written(project, command):
    broken = AGENT.replace("    monitor.watch(agent)\n", "    torch.ones(2, 2).to_sparse().median()\n")
    (project / "toy.py").write_text(broken)
    for arguments in (("train", "toy.py", "--out", "run"), ("demo", "toy.py")):
        with pytest.raises(NotImplementedError, match="SparseCPU"):
            command(*arguments)
    (project / "toy.py").write_text(f"import torch\n{written(doubled='return torch.ones(2, 2).to_sparse().median()')}")
    printed = command("check", "toy.py")[1]
    assert "doubled      failed   example 1 of 2: NotImplementedError" in printed and "return torch.ones(2, 2)" in printed


def test_train_names_the_exercise_that_it_needs(project, command):
    (project / "toy.py").write_text(AGENT.replace("    monitor.watch(agent)\n", '    raise NotImplementedError("doubled")\n'))
    for arguments in (("train", "toy.py"), ("demo", "toy.py")):
        status, _, complaint = command(*arguments)
        assert (status, "doubled is not implemented yet" in complaint) == (2, True)
    assert not (project / "runs").exists() or not list((project / "runs").iterdir())  # no empty run that others would be compared with


def test_train_help_lists_the_fields_of_the_configuration(project, command):
    (project / "toy.py").write_text(AGENT)
    status, printed, _ = command("train", "toy.py", "--help")
    assert status == 0 and "--gain" in printed and "of the observation [default: 1.0]" in " ".join(printed.split())
    (project / "toy.py").write_text(AGENT + '\nCONFIGS["huge"] = ToyConfig(gain=7.0)\n')
    for chosen, default in (([], 1.0), (["--config", "huge"], 7.0), (["--env=huge"], 7.0), (["--env", "elsewhere"], 1.0)):
        assert f"of the observation [default: {default}]" in " ".join(command("train", "toy.py", *chosen, "--help")[1].split())
    status, printed, _ = command("train", "--help")
    assert status == 0 and "TOPIC|FILE" in printed


def test_tab_completes_commands_and_topics(project, command, monkeypatch):
    for typed, completed in (
        ("npfl139 st", "start"),
        *((f"npfl139 {words} toy_", "toy_two") for words in ("start", "demo", "lecture", "audit", "grade --topic")),
    ):
        monkeypatch.setenv("_NPFL139_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
        assert completed in command()[1].split()


@pytest.mark.parametrize("name", ["", "topics", "start", "check", "train", "demo", "plot", "grade", "release", "audit"])
def test_no_help_cuts_a_word_or_speaks_of_pythons_types(command, monkeypatch, name):
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    printed = command(*name.split(), "--help")[1]
    assert "…" not in printed and not re.search(r"<\w+>", printed.replace("<student>", "").replace("<topic>", ""))


def test_the_command_answers_without_importing_torch():
    code = "import sys, npfl139.cli; npfl139.cli.add_commands(); sys.exit('torch' in sys.modules or 'gymnasium' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("arguments", [("demo", "tyo"), ("demo", "toy", "--run", "nowhere"), ("train", "tyo.py"), ("plot", "nowhere")])
def test_a_wrong_name_is_refused_without_importing_torch(project, command, monkeypatch, arguments):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("npfl139.") and hasattr(sys.modules[name], "torch")]:
        monkeypatch.delitem(sys.modules, name)
    assert command(*arguments)[2].startswith("npfl139: there is no ")


def test_a_picture_of_the_film_is_shown_while_the_topic_is_loaded(project, command, monkeypatch):
    film = project.parent / "project" / "assignments" / "toy.webp"
    Image.new("RGB", (16, 16), "red").save(film)

    def loading(*arguments):
        raise npfl139.terminal.UserError("so far nothing was loaded")

    monkeypatch.setattr(npfl139.watching, "_shows", loading)
    status, printed, complaint = command("demo", "toy", "--render", "terminal")
    assert "▀" in printed and "toy is being loaded; meanwhile a picture of the reference's film" in printed
    assert (status, complaint) == (2, "npfl139: so far nothing was loaded\n")
    for others in (("--train",), ("--env", "CartPole-v1"), ("--versus", "toy_two")):
        assert "▀" not in command("demo", "toy", "--render", "terminal", *others)[1]


def test_without_an_installation_the_version_is_unknown(command, monkeypatch):
    assert command("--version")[:2] == (0, f"{npfl139.cli.importlib.metadata.version(DISTRIBUTION)}\n")

    def version(name: str) -> str:
        raise npfl139.cli.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(npfl139.cli.importlib.metadata, "version", version)
    status, _, complaint = command("--version")
    told = "npfl139: the version is unknown, because deep-rl-unit is not installed: run pip install in its folder\n"
    assert (status, complaint) == (2, told)


def test_an_environment_that_cannot_be_drawn_is_told_so(monkeypatch):
    def render(self):
        raise RuntimeError("no display\nand much more")

    monkeypatch.setattr("npfl139.envs.cartpole.CartPoleVector.render", render)
    agent = types.SimpleNamespace(act=lambda observation, reward, first: np.zeros(len(observation), np.int64))
    with pytest.raises(ValueError, match="CartPole-v1 cannot be drawn here, so there is no animation of it: no display$"):
        list(played(agent, "CartPole-v1", seed=1).frames(1))


WARNING = written(
    doubled="import torch; torch.tensor(x).new_tensor(torch.tensor(1.0)); print('debugging'); return 2 * x",
    quadrupled="import warnings; warnings.warn('slow', stacklevel=1); return doubled(doubled(x))",
    add="pass",
)


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_warnings_and_prints_fail_no_right_file(project, terminal):
    (project / "toy.py").write_text(WARNING)
    program = "import sys, npfl139.catalogue as c, npfl139.cli as cli; c.__file__ = sys.argv.pop(1); cli.main()"
    arguments = [sys.executable, "-c", program, catalogue.__file__, "check", "toy.py"]
    status, shown = in_terminal(arguments) if terminal else in_pipe(arguments)
    assert status == 0 and "3 of 3 exercises pass" in shown
    assert "it printed:" in shown and "debugging" in shown and "UserWarning" in shown
    assert ("\x1b[" in shown) == terminal


def test_a_terminal_breaks_lines_between_words_and_a_pipe_not_at_all(project):
    program = "import sys, npfl139.catalogue as c, npfl139.cli as cli; c.__file__ = sys.argv.pop(1); cli.main()"
    for name in ("nowhere " * 20, "y"):
        arguments = [sys.executable, "-c", program, catalogue.__file__, "start", name]
        assert in_pipe(arguments)[1].count("\n") == 1
        lines = in_terminal(arguments)[1].splitlines()
        assert all(len(line) <= 80 for line in lines) and " ".join(" ".join(lines).split()) == " ".join(in_pipe(arguments)[1].split())


def in_pipe(arguments: list[str]) -> tuple[int, str]:
    finished = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return finished.returncode, finished.stdout


def in_terminal(arguments: list[str]) -> tuple[int, str]:
    """Return the status of a command and what it shows in a terminal of 80 columns."""
    leader, follower = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(arguments, stdin=follower, stdout=follower, stderr=follower, env=environment, close_fds=True)
    os.close(follower)
    shown = bytearray()
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    return process.wait(), shown.decode()


def test_help_shows_what_is_taken_where_nothing_is_given(command):
    for arguments, defaults in {
        ("demo",): ["its own", "terminal, if it has colours"],
        ("audit",): ["all", "one per processor"],
        ("grade",): ["one per processor and 3 GiB", "as its checks need", "drawn once, kept in the folder of results"],
        ("release",): ["assignments; for a bundle, bundle"],
    }.items():
        status, printed, _ = command(*arguments, "--help")
        words = " ".join(printed.replace("│", " ").split())
        assert status == 0 and all(f"[default: ({default})]" in words for default in defaults)
