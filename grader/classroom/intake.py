"""What students handed in, under the names of their folders in the results. Nothing is executed, and no submission stops the class."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grader.classroom.store import OWN_FILES
from grader.intake.adapters import taken
from grader.intake.choice import Choice, chosen, shown_path, told
from grader.intake.contents import Content
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, NoSubmission, Parcel
from grader.records import Submission
from grader.show.groups import grouped
from npfl139.catalogue import topic_of
from npfl139.source import SUFFIXES
from npfl139.text import printable

__all__ = ["HandedIn", "NoSubmission", "as_folder", "collect"]

WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
MAX_NAME_BYTES = 120  # of a student's name as a folder; file systems allow 255


@dataclass(frozen=True)
class HandedIn:
    """What one student handed in for one topic, not yet looked into."""

    student: str
    topic: str
    filename: str
    sha256: str  # of the content of its files
    problem: str | None = None
    files: tuple[tuple[str, Content], ...] = ()  # all of them hold the same program, or the student must choose

    def submission(self) -> Submission:
        """Return it with the content of its files, for the grader to read."""
        unread = tuple((name, kept.read()) for name, kept in self.files)
        return Submission(self.student, self.topic, None, self.filename, self.sha256, self.problem, unread=unread)


def collect(
    paths: Sequence[Path], topics: Sequence[str], topic: str | None = None, notice: Callable[[str], object] = lambda sentence: None
) -> list[HandedIn]:
    """Return what was handed in, ordered as the paths and then by name.

    Args:
        paths: files, folders and zip archives, see `grader.intake.adapters`.
        topics: the names of all topics, by which files are recognized.
        topic: grade this one only, and a student's only file for it whatever its name.
        notice: told which path was taken for an export of which platform, and why.

    Raises:
        NoSubmission: a path does not exist or cannot be read, holds nothing, holds a class where a student is
            expected, or the topic of its files cannot be told; or what a student called a folder would name this
            student, where the paths name others.
    """
    exports = [Export(path, tuple(topics), topic) for path in dict.fromkeys(Path(os.path.abspath(path)) for path in paths)]
    found: dict[Path, list[Parcel]] = {}
    recognized: set[Path] = set()
    for export in exports:
        recognition, found[export.path] = taken(export)
        if recognition.why:
            recognized.add(export.path)
            notice(printable(f"{export.path}: taken for {recognition.system}, since {recognition.why}"))
    _expect_own_names({export.path: found[export.path] for export in exports if export.path not in recognized})
    everywhere = _expected(found, topics, topic)
    submissions: list[HandedIn] = []
    known: set[tuple[str, str]] = set()
    labels = _labels(found.values())
    for parcels in found.values():
        there = {name for parcel in parcels for name in told(parcel, topics)}
        expected = everywhere if topic or not there else tuple(name for name in topics if name in there)
        for parcel in _one_each(parcels, topics):
            own = [_handed_in(choice) for choice in chosen(parcel, topics, expected)]
            submissions += _named(labels[parcel.student, parcel.members], own, known)
    return submissions


def _expect_own_names(found: Mapping[Path, Sequence[Parcel]]) -> None:
    """Refuse paths side by side, as a shell makes of `class/*`, of which one is a student's and another holds one called otherwise."""
    people = {path: {parcel.student for parcel in parcels} for path, parcels in found.items() if path.suffix.lower() not in SUFFIXES}
    for beside in grouped(people, lambda path: path.parent).values():
        others = [path for path in beside if not people[path] <= {path.name, path.stem}]
        if len(others) < len(beside) and (path := next((path for path in others if len(people[path]) == 1), None)):
            raise NoSubmission(
                f"{path}: its student would be called {printable(min(people[path]), '_')}, as a folder in it is, and others as the paths "
                f"are: name {path.parent} itself, in which each student has a folder or an archive"
            )


def _one_each(parcels: Sequence[Parcel], topics: Sequence[str]) -> list[Parcel]:
    """Return the parcels with those of one person or team put together: what is graded here is all for one mark a topic."""
    found: dict[tuple[Claim, ...], Parcel] = {}
    for parcel in parcels:
        told = parcel.told | {file: parcel.topic for file in parcel.files if parcel.topic and topic_of(file.name, topics)[0] is None}
        other = found.get(parcel.members)
        if other is None:
            found[parcel.members] = replace(parcel, told=told)
        else:
            problem = None if parcel.files or other.files else other.problem or parcel.problem
            found[parcel.members] = replace(other, files=other.files + parcel.files, told=other.told | told, topic=None, problem=problem)
    return list(found.values())


def _labels(found: Iterable[Sequence[Parcel]]) -> dict[tuple[str, tuple[Claim, ...]], str]:
    """Return what each person or team is called: of namesakes, also by what the platform calls them."""
    people = dict.fromkeys((parcel.student, parcel.members) for parcels in found for parcel in parcels)
    count = Counter(as_folder(student).casefold() for student, _ in people)
    labels = {}
    for student, members in people:
        keys = " + ".join(member.key for member in members)
        labels[student, members] = student if count[as_folder(student).casefold()] == 1 or keys == student else f"{student} ({keys})"
    return labels


def _handed_in(choice: Choice) -> HandedIn:
    files = tuple((shown_path(file), file.content) for file in choice.files if file.content)
    return HandedIn("", choice.topic or "", choice.filename, choice.sha256, choice.problem, files)


def _expected(found: dict[Path, list[Parcel]], topics: Sequence[str], topic: str | None) -> tuple[str, ...]:
    """Return the topics that were handed in anywhere, or the one that is asked for."""
    parcels = [parcel for parcels in found.values() for parcel in parcels]
    files = [file for parcel in parcels for file in parcel.files]
    where = " and ".join(str(path) for path in found)
    if not files and not any(parcel.problem for parcel in parcels):
        raise NoSubmission(f"there is no .py, .ipynb or .zip file in {where}")
    expected = (topic,) if topic else tuple(name for parcel in parcels for name in told(parcel, topics))
    if not expected and len(files) == 1 and files[0].problem:
        raise NoSubmission(f"{where}: {files[0].problem}")
    if not expected:
        raise NoSubmission(f"the names of the files in {where} tell no topic: add --topic, or call them like {topics[0]}.py")
    return tuple(dict.fromkeys(expected))


def _named(student: str, submissions: list[HandedIn], known: set[tuple[str, str]]) -> list[HandedIn]:
    """Return the submissions with the student's name as a folder; a namesake's gets a number."""
    folder = name = as_folder(student)
    number = 1
    while any((name.casefold(), submission.topic) in known for submission in submissions):
        number += 1
        name = f"{folder} ({number})"
    known.update((name.casefold(), submission.topic) for submission in submissions)
    return [replace(submission, student=name) for submission in submissions]


def as_folder(name: str) -> str:
    """Return a name that is a safe folder on every system, as close to the given one as that allows.

    >>> as_folder("Jan Novák"), as_folder("../a:b"), as_folder("CON"), as_folder(" . ")
    ('Jan Novák', '_a_b', 'CON_', 'unnamed')
    """
    name = re.sub(r'[/\\:*?"<>|]', "_", printable(unicodedata.normalize("NFC", name), "_"))
    name = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip(". ")
    return f"{name}_" if WINDOWS_RESERVED.fullmatch(name) or name.casefold() in OWN_FILES else name or "unnamed"
