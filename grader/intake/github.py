"""What GitHub Classroom keeps: a repository for each student or team, `<assignment>-<login>`, cloned into one folder.

Of each repository the last commit counts whose committer's date is not after the deadline, in the history of the branch that was cloned;
what lies in its working tree does not. Such a date is what the student's machine said: the platform's own record of pushes is in no clone.

Source: GitHub, "Download assignments" (`gh classroom clone student-repos`).
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from grader.intake.archives import Budget, File, refused
from grader.intake.contents import Content
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, NoSubmission, Parcel, shared
from grader.intake.repositories import Repository
from grader.intake.words import cleaned
from npfl139.catalogue import topic_of
from npfl139.source import MAX_BYTES, SUFFIXES, Unreadable

__all__ = ["AROUND", "NOTHING", "PRIORITY", "parcels", "recognized"]

PRIORITY = 20
AROUND = r"(.+)-submissions"  # the folder that GitHub's command clones into
NOTHING = "nothing was committed"  # begins what is told of a repository that is empty at the deadline


def recognized(export: Export) -> str | None:
    """Return why it is from GitHub, None where it is not: all its folders are repositories, as none is where students packed theirs."""
    root = _root(export)
    if root is None:
        return None
    names = {parts[len(root)] for parts in export.listing.folders if len(parts) > len(root) and parts[: len(root)] == root}
    repositories = {parts[-1] for parts in export.listing.repositories if parts[:-1] == root}
    alone = len(repositories) < 2 and re.fullmatch(AROUND, _above(export, root)) is None  # as somebody's own work lies
    if alone or (names - repositories and not export.path.is_file()):
        return None
    return f"each of its {len(repositories)} folders is a repository of git"


def parcels(export: Export) -> list[Parcel]:
    """Return what each student or team had committed until the deadline, or until today where there is none.

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
    return [_parcel(export, export.path.joinpath(*root, name), name, prefix) for name in names]


def _root(export: Export) -> tuple[str, ...] | None:
    """Return the folder in which the repositories lie side by side."""
    parents = {parts[:-1] for parts in export.listing.repositories if parts}
    highest = min(parents, key=len, default=None)
    return highest if highest is not None and () not in export.listing.repositories else None


def _above(export: Export, root: tuple[str, ...]) -> str:
    return root[-1] if root else export.path.name


def _prefix(above: str, names: Sequence[str], topics: Sequence[str]) -> str:
    """Return what the names of the repositories of one assignment begin with, as far as that is told."""
    if match := re.fullmatch(AROUND, above):
        return f"{match[1]}-"
    if any(topic_of(name, topics)[0] for name in names) or len(names) < 2:
        return ""
    common = shared(tuple(name.split("-")) for name in names)
    return "".join(f"{word}-" for word in common)


def _parcel(export: Export, path: Path, name: str, prefix: str) -> Parcel:
    topic, rest = topic_of(name, export.topics)
    login = name.removeprefix(prefix) if prefix and name.startswith(prefix) else rest or name
    claim = Claim("github", cleaned(login))
    try:
        repository = Repository(path)
        commit = repository.last_commit(export.deadline)
        files = () if commit is None else tuple(_files(repository, commit.sha))
    except (Unreadable, OSError) as error:
        problem = str(error) if isinstance(error, Unreadable) else f"the repository cannot be read ({error.strerror}): clone it once more"
        return Parcel(login, (claim,), name, topic=topic, problem=problem)
    if commit is None:
        until = f" until {export.deadline:%Y-%m-%d %H:%M %Z}" if export.deadline else ""
        return Parcel(login, (claim,), name, topic=topic, problem=f"{NOTHING}{until}: commit and push your work")
    return Parcel(login, (claim,), name, files, topic=topic, submitted_at=commit.at, time_source="commit")


def _files(repository: Repository, commit: str) -> list[File]:
    """Return the programs and notebooks of a commit, within the limits of any student's."""
    budget, found = Budget.of_student(), []
    for entry in repository.entries(commit):
        if not entry.parts[-1].lower().endswith(SUFFIXES) or any(part.startswith(".") for part in entry.parts):
            continue
        try:
            if entry.is_link:
                raise Unreadable(f"{entry.parts[-1]} is a symbolic link: hand in the file itself")
            if entry.size > MAX_BYTES:
                raise Unreadable(f"{entry.parts[-1]} has more than {MAX_BYTES // 2**20} MiB: hand in the assignment only")
            budget.spend(files=1, unpacked_bytes=entry.size)
            kept = Content(repository.content(entry))
            found.append(File(entry.parts, kept.sha256, kept))
        except Unreadable as error:
            found.append(refused(entry.parts, str(error)))
    return found
