"""What students get: the committed skeletons in assignments/, and the bundle that they download."""

import importlib
import json
import math
import re
import shutil
from collections.abc import Sequence
from importlib.metadata import Distribution
from pathlib import Path

import gymnasium

import deep_rl_unit
import npfl139
from grader.contract import registry
from grader.contract.registry import available, load
from grader.contract.sources import checkout
from grader.contract.spec import Topic
from grader.release.requirements import constraints, project
from grader.release.skeleton import make_notebook, make_skeleton
from npfl139 import DISTRIBUTION
from npfl139.envs import EXTRAS
from npfl139.lecture.reference import LectureError, shipped_text
from npfl139.lecture.text import interactive_figures

__all__ = ["ReleaseError", "assignment_files", "bundle", "equations", "regenerate"]


class ReleaseError(ValueError):
    """The release would be wrong. The message is one sentence that says what to change."""


def assignment_files(topic: Topic) -> dict[str, str]:
    """Return the generated files of a topic, by name: the skeleton, its notebook and what the students' commands know of it."""
    skeleton = make_skeleton(topic.solution.read_text(encoding="utf-8"), topic.exercises)
    entry = json.dumps(_entry(topic), indent=2, ensure_ascii=False) + "\n"
    notebook = make_notebook(skeleton, topic.exercises, equations(topic))
    return {f"{topic.name}.py": skeleton, f"{topic.name}.ipynb": notebook, f"{topic.name}.json": entry}


def equations(topic: Topic) -> str:
    """Return the lecture of a topic, which typesets the equations that its docstrings cite; empty where there is none."""
    lecture = topic.solution.parent.parent / "lectures" / f"{topic.name}.md"
    return lecture.read_text(encoding="utf-8") if lecture.exists() else ""


def regenerate(out: Path | None = None) -> list[Path]:
    """Write the assignments of the topics that lie in the checkout around the current directory; return what changed.

    Args:
        out: the folder to write, by default `assignments/` beside the `solutions/` of each topic. With it the current directory may
            lie in no checkout, and all topics are written.

    Raises:
        ReleaseError: no topic lies in a checkout around the current directory, and `out` says no folder.
    """
    here = checkout(Path.cwd())
    names = [name for name in available() if here is not None and _lies_in(name, here)]
    if not names and out is None:
        raise ReleaseError("no topic lies in a checkout here: run the command in the one that holds the topic, or add --out with a folder")
    changed = []
    for topic in map(load, names or available()):
        folder = out or topic.solution.parent.parent / "assignments"
        files = {name: text for name, text in assignment_files(topic).items() if not _holds(folder / name, text)}
        _write(folder, files)
        changed += [folder / name for name in files]
    return changed


def bundle(names: Sequence[str], folder: Path) -> None:
    """Write what the students of these topics download: the library, the assignments, the lectures, the solutions that these build on.

    Raises:
        ReleaseError: the folder is not empty, one topic's solution is part of another's bundle, or a lecture cannot be run.
        ValueError: there is no topic of that name.
    """
    order = available()
    topics = sorted(map(load, set(names)), key=lambda topic: order.index(topic.name))
    solutions = {name: source for topic in topics for name, source in topic.prerequisite_sources.items()}
    for topic in topics:
        if topic.name in solutions:
            shown_by = " and ".join(other.name for other in topics if topic.name in other.prerequisites)
            raise ReleaseError(f"{topic.name} cannot be released together with {shown_by}, whose bundle shows its solution")
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseError(f"{folder} is not empty: name another folder, or remove it first")
    files = {f"assignments/{name}": text for topic in topics for name, text in assignment_files(topic).items()}
    for topic in topics:
        files |= _lecture(topic)
    files |= {f"solutions/{name}.py": source for name, source in solutions.items()}
    if solutions:
        files["solutions/__init__.py"] = '"""The solutions of earlier topics, on which the assignments build."""\n'
    others = _brought_by(topics)
    _write(folder, files | {"README.md": _readme(topics), "pyproject.toml": project(others), "constraints.txt": constraints(others)})
    for topic in topics:
        for suffix in (".safetensors", ".webp"):  # the trained agent, and the film
            shown = topic.solution.parent.parent / "assignments" / f"{topic.name}{suffix}"
            if shown.exists():
                shutil.copy(shown, folder / "assignments")
    shutil.copytree(Path(npfl139.__file__).parent, folder / "npfl139", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(deep_rl_unit.__file__, folder)


def _lecture(topic: Topic) -> dict[str, str]:
    """Return the lecture as the bundle has it: the source, and what its cells show with the solution, which is not there."""
    source = topic.solution.parent.parent / "lectures" / f"{topic.name}.md"
    if not source.is_file():
        return {}
    text = source.read_text(encoding="utf-8")
    figures = {f"lectures/interactive/{name}.html": (source.parent / "interactive" / f"{name}.html") for name in interactive_figures(text)}
    try:
        shown = shipped_text(source)
    except LectureError as error:
        raise ReleaseError(f"the lecture of {topic.name} cannot be run: {error}") from error
    files = {f"lectures/{topic.name}.md": text, f"lectures/{topic.name}.json": shown}
    return files | {name: path.read_text(encoding="utf-8") for name, path in figures.items()}


def _lies_in(name: str, project: Path) -> bool:
    try:
        return checkout(registry.folder(name).resolve()) == project
    except ValueError:  # another's topic is broken, which is nothing to the topics of this project
        return False


def _entry(topic: Topic) -> dict[str, object]:
    place = registry.place(topic.name)
    entry: dict[str, object] = {
        "title": topic.title,
        "points": {exercise: sum(check.points for check in topic.checks if check.exercise == exercise) for exercise in topic.exercises},
        "training_points": sum(training.points for training in topic.trainings),
        "prerequisites": list(topic.prerequisites),
    }
    return entry if math.isinf(place) else entry | {"place": place}


def _brought_by(topics: Sequence[Topic]) -> list[Distribution]:
    """Return the distributions that bring the topics, without this project."""
    found = {item.name: item for item in map(registry.distribution, (topic.name for topic in topics)) if item is not None}
    return [item for name, item in sorted(found.items()) if name != DISTRIBUTION]


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() == text.encode()


def _readme(topics: Sequence[Topic]) -> str:
    first = topics[0].name
    sizes = {topic: f"{len(topic.exercises)} exercises, {topic.max_score:g} points" for topic in topics}
    listed = "\n".join(f"- `{topic.name}`: {topic.title} ({size})" for topic, size in sizes.items())
    earlier = dict.fromkeys(name for topic in topics for name in topic.prerequisites)
    shown = f"\n`solutions/` holds the solutions of {', '.join(earlier)}, on which these assignments build.\n" if earlier else ""
    extras = sorted(set(filter(None, map(_extra, topics))))
    text = STUDENT_README.replace("TOPIC", first).replace("LISTED", listed).replace("SHOWN", shown)
    text = text.replace("EXTRAS", ",".join(["notebook", *extras]))
    return re.sub(r"(?m)^(    npfl139 .*?)  +(# .*)$", lambda line: f"{line[1]:<42}{line[2]}", text)


def _extra(topic: Topic) -> str | None:
    """Return the extra that installs the environment in which an agent of the topic is trained by default; None if there is no such."""
    usual = next(iter(getattr(importlib.import_module(f"solutions.{topic.name}"), "CONFIGS", {})), None)
    entry = str(gymnasium.spec(usual).entry_point).lower() if usual in gymnasium.registry else ""
    return next((extra for word, extra in EXTRAS.items() if word in entry), None)


STUDENT_README = """\
# Assignments

LISTED

## Install

With Python 3.11 or newer, in this folder (again after you unpacked a newer bundle over it). PyTorch is large: minutes.

    python3 -m venv .venv
    . .venv/bin/activate            # on Windows: .venv\\Scripts\\activate
    pip install -c constraints.txt -e ".[EXTRAS]"

Without `notebook` it installs what programs need, and no Jupyter. Activate the environment in every new terminal.

## Work

    npfl139 topics              # exercises and points
    npfl139 demo TOPIC          # what it is about, to watch: the reference on film, until TOPIC.py here is complete; Ctrl-C ends it
    npfl139 lecture TOPIC       # writes TOPIC.html to read; the [TOPIC:...] of a docstring is an equation there
    npfl139 start TOPIC         # copies the assignment here as TOPIC.py
    npfl139 check TOPIC.py      # runs the examples, says what failed and what comes next; --watch does it whenever you save
    npfl139 lecture TOPIC --with TOPIC.py   # its figures, drawn by your functions
    npfl139 train TOPIC.py      # where the assignment has an agent: trains yours; --help lists its settings
    npfl139 plot runs/*         # its curves, beside those of the reference
    npfl139 demo runs/RUN       # your agent at work; --gif FILE.gif films it

Every exercise is one function. Its docstring is the assignment; replace `raise NotImplementedError(...)` by your code, and leave the
name and the arguments as they are.

In Jupyter: `npfl139 start TOPIC --notebook`, then `jupyter notebook TOPIC.ipynb`. Every exercise has its cell, and below it one that
checks it. Run All ends at the first cell that needs an exercise which is not written yet, and says which. The last cell trains;
`npfl139.runs.main(train, ["--steps", "50000"])` trains with other settings.

## Hand in

The one file TOPIC.py or TOPIC.ipynb, where your course says. Copies called `TOPIC (1).py` or `my_TOPIC.py` are recognised. It is graded
without network, with the packages installed above, and by more checks than the examples; a function that passes them can still be slow or
wrong where no example looks. You get a report that says what each check is about.
SHOWN"""
