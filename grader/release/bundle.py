"""What students get: the committed skeletons in assignments/, and the bundle that they download."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from grader.contract.registry import ORDER, available, load
from grader.contract.spec import Topic
from grader.grading.diagnosis import prerequisite_sources
from grader.release.skeleton import make_notebook, make_skeleton
from npfl139.catalogue import INDEX

__all__ = ["ReleaseError", "assignment_files", "bundle", "regenerate"]

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("pyproject.toml", "constraints.txt")


class ReleaseError(ValueError):
    """The release would be wrong. The message is one sentence that says what to change."""


def assignment_files(topics: Sequence[Topic]) -> dict[str, str]:
    """Return the generated files, by name: the skeletons, their notebooks and the index of the topics."""
    files = {}
    for topic in topics:
        skeleton = make_skeleton(topic.solution.read_text(encoding="utf-8"), topic.exercises)
        files |= {f"{topic.name}.py": skeleton, f"{topic.name}.ipynb": make_notebook(skeleton)}
    index = {topic.name: _entry(topic) for topic in topics}
    return files | {INDEX: json.dumps(index, indent=2, ensure_ascii=False) + "\n"}


def regenerate(folder: Path = ROOT / "assignments") -> list[Path]:
    """Write the files of all topics into the folder; return those that changed."""
    files = assignment_files([load(name) for name in available()])
    changed = [folder / name for name, text in files.items() if not _holds(folder / name, text)]
    _write(folder, {path.name: files[path.name] for path in changed})
    return changed


def bundle(names: Sequence[str], folder: Path) -> None:
    """Write what the students of these topics download: the library, the assignments, the solutions that these build on.

    Raises:
        ReleaseError: the folder is not empty, or one topic's solution is part of another's bundle.
        ValueError: there is no topic of that name.
    """
    topics = [load(name) for name in sorted(set(names), key=lambda name: (*ORDER, name).index(name))]
    solutions = {name: source for topic in topics for name, source in prerequisite_sources(topic).items()}
    for topic in topics:
        if topic.name in solutions:
            shown_by = " and ".join(other.name for other in topics if topic.name in other.prerequisites)
            raise ReleaseError(f"{topic.name} cannot be released together with {shown_by}, whose bundle shows its solution")
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseError(f"{folder} is not empty: name another folder, or remove it first")
    files = {f"assignments/{name}": text for name, text in assignment_files(topics).items()}
    files |= {f"solutions/{name}.py": source for name, source in solutions.items()}
    if solutions:
        files["solutions/__init__.py"] = '"""The solutions of earlier topics, on which the assignments build."""\n'
    _write(folder, files | {"README.md": _readme(topics)})
    shutil.copytree(ROOT / "npfl139", folder / "npfl139", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SHARED:
        shutil.copyfile(ROOT / name, folder / name)


def _entry(topic: Topic) -> dict:
    return {
        "title": topic.title,
        "points": {exercise: sum(check.points for check in topic.checks if check.exercise == exercise) for exercise in topic.exercises},
        "training_points": sum(training.points for training in topic.trainings),
        "prerequisites": list(topic.prerequisites),
    }


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
    earlier = sorted({name for topic in topics for name in topic.prerequisites}, key=ORDER.index)
    shown = f"\n`solutions/` holds the solutions of {', '.join(earlier)}, on which these assignments build.\n" if earlier else ""
    return STUDENT_README.format(listed=listed, first=first, pad=" " * max(0, len(first) - 3), shown=shown)


STUDENT_README = """\
# Assignments

{listed}

Install, with Python 3.11 or newer, in this folder (again after you unpacked a newer bundle over it):

    python3 -m venv .venv
    . .venv/bin/activate            # on Windows: .venv\\Scripts\\activate
    pip install -c constraints.txt -e .

Work:

    npfl139 start {first}       # copies the assignment here as {first}.py; with --notebook as {first}.ipynb
    npfl139 check {first}.py    # runs the examples of the exercises that you have written
    npfl139 train {first}.py    # where the assignment has an agent: trains yours, and draws its curves
    npfl139 topics{pad}          # exercises and points

Every exercise is one function. Its docstring is the assignment; replace `raise NotImplementedError(...)` by your code, and leave the
name and the arguments as they are. Hand in the one `.py` or `.ipynb` file under the name it has. The grader runs more checks than the
examples; it runs your file without network, with the packages installed above.
{shown}"""
