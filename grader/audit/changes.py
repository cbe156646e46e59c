"""Which topics a change touches, by what Git says: only those have to be audited again."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from grader.contract.spec import Topic

__all__ = ["changed_files", "touched"]

ROOT = Path(__file__).resolve().parents[2]
OF_ALL_TOPICS = ("npfl139/", "grader/audit/", "grader/contract/", "grader/grading/", "grader/inside/")


def changed_files(revision: str, root: Path = ROOT) -> list[str] | None:
    """Return the files, relative to the root, that differ from a revision, new ones included; None where Git cannot tell."""
    try:
        asked = [["diff", "--name-only", revision, "--"], ["ls-files", "--others", "--exclude-standard"]]
        answers = [subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout for words in asked]
    except (OSError, subprocess.CalledProcessError):
        return None
    return [line for answer in answers for line in answer.splitlines()]


def touched(topics: Iterable[Topic], files: list[str] | None) -> list[Topic]:
    """Return the topics whose checks, solution, prerequisites or surroundings are among the files; all if these are not known."""
    topics = list(topics)
    if files is None or any(file.startswith(OF_ALL_TOPICS) for file in files):
        return topics

    def is_touched(topic: Topic) -> bool:
        solutions = {f"solutions/{name}.py" for name in (topic.name, *topic.prerequisites)}
        return any(file in solutions or file.startswith(f"grader/topics/{topic.name}/") for file in files)

    return [topic for topic in topics if is_touched(topic)]
