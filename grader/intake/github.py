"""What GitHub Classroom keeps: a repository for each student or team, `<assignment>-<login>`, cloned into one folder.

Of each repository the last commit before each deadline counts, by the committer's date, in the history of the branch that was cloned;
what lies in its working tree does not. Such a date is what the student's machine said: the platform's own record of pushes is in no clone.

Source: GitHub, "Download assignments" (`gh classroom clone student-repos`).
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from grader.intake.archives import CLONES, Budget, File, refused
from grader.intake.contents import Content
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, NoSubmission, Parcel, shared
from grader.intake.repositories import Commit, Repository
from grader.intake.words import cleaned
from npfl139.catalogue import topic_of
from npfl139.source import MAX_BYTES, SUFFIXES, Unreadable

__all__ = ["NOTHING", "PRIORITY", "parcels", "recognized"]

PRIORITY = 20
NOTHING = "nothing was committed"  # begins what is told of a repository that is empty at the deadline


def recognized(export: Export) -> str | None:
    """Return why it is from GitHub, None where it is not: all its folders are repositories, as none is where students packed theirs."""
    root = _root(export)
    if root is None:
        return None
    names = {parts[len(root)] for parts in export.listing.folders if len(parts) > len(root) and parts[: len(root)] == root}
    repositories = {parts[-1] for parts in export.listing.repositories if parts[:-1] == root}
    alone = len(repositories) < 2 and CLONES.fullmatch(_above(export, root)) is None  # as somebody's own work lies
    if alone or (names - repositories and not export.path.is_file()):
        return None
    return f"each of its {len(repositories)} folders is a repository of git"


def parcels(export: Export) -> list[Parcel]:
    """Return what each student or team had committed until each deadline, or until today where there is none.

    Raises:
        NoSubmission: there is no repository, or they are in an archive.
    """
    root = _root(export)
    if root is None:
        raise NoSubmission(f"{export.path}: there is no folder in which each student has a repository of git: clone them first")
    if export.path.is_file():
        raise NoSubmission(f"{export.path} holds repositories of git, whose dates cannot be read in an archive: unpack it first")
    if shutil.which("git") is None:
        raise NoSubmission(f"{export.path} holds repositories, and git, which reads them, is not installed: install it")
    names = sorted(parts[-1] for parts in export.listing.repositories if parts[:-1] == root)
    prefix = _prefix(_above(export, root), names, export.topics)
    return [parcel for name in names for parcel in _parcels(export, export.path.joinpath(*root, name), name, prefix)]


def _root(export: Export) -> tuple[str, ...] | None:
    """Return the folder in which the repositories lie side by side."""
    parents = {parts[:-1] for parts in export.listing.repositories if parts}
    highest = min(parents, key=len, default=None)
    return highest if highest is not None and () not in export.listing.repositories else None


def _above(export: Export, root: tuple[str, ...]) -> str:
    return root[-1] if root else export.path.name


def _prefix(above: str, names: Sequence[str], topics: Sequence[str]) -> str:
    """Return what the names of the repositories of one assignment begin with, as far as that is told."""
    if match := CLONES.fullmatch(above):
        return f"{match[1]}-"
    if any(topic_of(name, topics)[0] for name in names) or len(names) < 2:
        return ""
    common = shared(tuple(name.split("-")) for name in names)
    return "".join(f"{word}-" for word in common)


def _parcels(export: Export, path: Path, name: str, prefix: str) -> list[Parcel]:
    """Return what a repository held at each of the deadlines, once where that is the same commit."""
    topic, rest = topic_of(name, export.topics)
    login = name.removeprefix(prefix) if prefix and name.startswith(prefix) else rest or name
    claim = Claim("github", cleaned(login))
    try:
        with Repository(path) as repository:
            commits = dict.fromkeys(repository.last_commit(deadline) for deadline in sorted(export.deadlines) or (None,))
            versions = [(commit.at, tuple(_files(repository, commit))) for commit in commits if commit is not None]
    except (Unreadable, OSError) as error:
        problem = str(error) if isinstance(error, Unreadable) else f"the repository cannot be read ({error.strerror}): clone it once more"
        return [Parcel(login, (claim,), name, topic=topic, problem=problem)]
    if not versions:
        until = f" until {max(export.deadlines):%Y-%m-%d %H:%M %Z}" if export.deadlines else ""
        return [Parcel(login, (claim,), name, topic=topic, problem=f"{NOTHING}{until}: commit and push your work")]
    return [Parcel(login, (claim,), name, files, topic=topic, submitted_at=at, time_source="commit") for at, files in versions]


def _files(repository: Repository, commit: Commit) -> list[File]:
    """Return the programs and notebooks of a commit, within the limits of any student's."""
    budget, found = Budget.of_student(), []
    for entry in repository.entries(commit):
        if not entry.parts[-1].lower().endswith(SUFFIXES) or entry.parts[-1].startswith("."):
            continue
        try:
            if entry.is_link:
                raise Unreadable(f"{entry.parts[-1]} is a symbolic link: hand in the file itself")
            budget.spend(files=1)
            content = repository.content(entry, MAX_BYTES)
            if content is None:
                raise Unreadable(f"{entry.parts[-1]} has more than {MAX_BYTES // 2**20} MiB: hand in the assignment only")
            budget.spend(unpacked_bytes=len(content))
            kept = Content(content)
            found.append(File(entry.parts, kept.sha256, kept))
        except Unreadable as error:
            found.append(refused(entry.parts, str(error)))
    return found
