"""What students handed in: who, which topic, which source. Nothing is executed, and no submission stops the class.

The layouts understood: one file; a folder or zip archive of `<student>/<topic>.py|.ipynb|.zip`, of `<topic>_<student>.py`
and `<student>_<topic>.py`, and what Moodle packs (`<name>_<number>_assignsubmission_file_/...`); any of these in folders that
only wrap it, such as an export of Gradescope, or the folder of an nbgrader course; and a student's own folder.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePath

from grader.classroom.store import OWN_FILES
from grader.intake.archives import IGNORED, File, Kept, files_in
from grader.records import Submission
from npfl139.catalogue import topic_of
from npfl139.source import listed
from npfl139.text import printable

__all__ = ["HandedIn", "NoSubmission", "collect"]

MOODLE = re.compile(r"(?P<student>.+_\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)")
SUBMITTED = "submitted"  # where nbgrader keeps what was handed in, beside any of the next
NBGRADER = {"nbgrader_config.py", "source", "release", "autograded", "feedback"}
WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
MAX_VERSIONS = 3  # different files for one topic that are compared: a notebook, a program made of it
MAX_NAME_BYTES = 120  # of a student's name as a folder; file systems allow 255


class NoSubmission(ValueError):
    """What the instructor pointed at holds no submission. The message is one sentence."""


@dataclass(frozen=True)
class HandedIn:
    """What one student handed in for one topic, not yet looked into."""

    student: str
    topic: str
    filename: str
    sha256: str  # of the content of its files
    problem: str | None = None
    files: tuple[tuple[str, Kept], ...] = ()  # all of them hold the same program, or the student must choose

    def submission(self) -> Submission:
        """Return it with the content of its files, for the grader to read."""
        unread = tuple((name, kept.read()) for name, kept in self.files)
        return Submission(self.student, self.topic, None, self.filename, self.sha256, self.problem, unread=unread)


def collect(paths: Sequence[Path], topics: Sequence[str], topic: str | None = None) -> list[HandedIn]:
    """Return what was handed in, ordered as the paths and then by name.

    Args:
        paths: files, folders and zip archives.
        topics: the names of all topics, by which files are recognized.
        topic: grade this one only, and a student's only file for it whatever its name.

    Raises:
        NoSubmission: a path does not exist or cannot be read, holds nothing, holds a class where a student is
            expected, or the topic of its files cannot be told.
    """
    found = {path: _by_student(path, topics, topic) for path in dict.fromkeys(Path(os.path.abspath(path)) for path in paths)}
    everywhere = _expected(found, topics, topic)
    submissions: list[HandedIn] = []
    taken: set[tuple[str, str]] = set()
    for by_student in found.values():
        expected = _told(by_student, topics) if topic is None else everywhere
        for student, files in by_student.items():
            submissions += _named(student, _chosen(files, expected or everywhere), taken)
    return submissions


@dataclass(frozen=True)
class _Recognized:
    """A file, with the topic that its name tells, if any."""

    file: File
    topic: str | None
    exact: bool  # named as the topic, without more

    @property
    def name(self) -> str:
        return self.file.parts[-1]


def _by_student(path: Path, topics: Sequence[str], asked: str | None) -> dict[str, list[_Recognized]]:
    """Return the files of each student; none for a folder of a student in which there is no program."""
    is_archive = path.is_file() and path.suffix.lower() == ".zip"
    is_program = path.is_file() and not is_archive
    own = path.stem if is_archive else path.parent.name if is_program else path.name
    try:
        around, files = _unwrapped(list(files_in(path)), topics)
        found: dict[str, list[_Recognized]] = {name: [] for name in _folders(path.joinpath(*around), files)}
    except OSError as error:
        raise NoSubmission(f"{path} cannot be read: {error.strerror}") from error
    for file in files:
        topic, rest = topic_of(_own_name(file.parts[-1]), topics)
        topic = asked if asked and is_program else topic
        found.setdefault(_student(file.parts, topics, own), []).append(_Recognized(file, topic, exact=not rest))
    _refuse_a_class_as_a_student(path, found, topics, asked)
    return found or {own: []}


def _folders(path: Path, files: list[File]) -> list[str]:
    """Return the students whose folders lie in the folder of a class, by name; nobody where it is none."""
    if not path.is_dir() or any(len(file.parts) == 1 for file in files):
        return []
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not IGNORED.match(entry.name))
    return [_moodle(name) or name for name in names]


def _unwrapped(files: list[File], topics: Sequence[str]) -> tuple[tuple[str, ...], list[File]]:
    """Return the folders that only wrap a class, and the files without them."""
    tops = {file.parts[0] for file in files}
    if SUBMITTED in tops and tops & NBGRADER:
        around: tuple[str, ...] = (SUBMITTED,)
    else:
        around, people = _people(files, topics)
        if len(people) < 2 or any(map(_moodle, around)):
            around = ()
    inside = [file for file in files if file.parts[: len(around)] == around]
    return around, [replace(file, parts=file.parts[len(around) :]) for file in inside]


def _people(files: list[File], topics: Sequence[str]) -> tuple[tuple[str, ...], set[str]]:
    """Return the folders that all the files share, and the folders directly in there that may be those of different people."""
    levels = zip(*(file.parts[:-1] for file in files), strict=False)
    around = tuple(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))
    if any(len(file.parts) == len(around) + 1 for file in files):
        return around, set()  # a file lies among the folders, as among those of one person
    return around, {name for name in (file.parts[len(around)] for file in files) if topic_of(name, topics)[0] is None}


def _refuse_a_class_as_a_student(path: Path, found: dict[str, list[_Recognized]], topics: Sequence[str], asked: str | None) -> None:
    """Refuse what looks as if the folder of a class was taken for that of a student.

    Who only kept older versions in folders of their own has fewer of them than there are other students.
    """
    for student, files in found.items():
        for topic in dict.fromkeys(recognized.topic or asked for recognized in files):
            same = [recognized.file for recognized in files if (recognized.topic or asked) == topic]
            _, people = _people(same, topics)
            if topic and len(people) > max(1, len(found) - 1):
                some = ", ".join(sorted(printable(name, "_") for name in people)[:3])
                raise NoSubmission(
                    f"{path}: {printable(student, '_')} would be a student with {topic} in {len(people)} folders ({some}), as if they were "
                    "of different people: name the folder in which each student has one"
                )


def _student(parts: tuple[str, ...], topics: Sequence[str], own: str) -> str:
    """Return whose file it is: by its folder, otherwise by what its name says besides the topic, otherwise by `own`."""
    first = parts[0]
    if moodle := _moodle(first):
        return moodle
    if len(parts) > 1 and not first.lower().endswith(".zip"):
        return first
    topic, rest = topic_of(first, topics)
    return rest or (own if topic else PurePath(first).stem)


def _moodle(name: str) -> str | None:
    match = MOODLE.fullmatch(name)
    return match["student"] if match else None


def _own_name(name: str) -> str:
    """Return the name that the student gave a file, without what Moodle puts before it."""
    match = MOODLE.fullmatch(name)
    return match["rest"] if match else name


def _expected(found: dict[Path, dict[str, list[_Recognized]]], topics: Sequence[str], topic: str | None) -> tuple[str, ...]:
    """Return the topics that were handed in anywhere, or the one that is asked for."""
    files = [recognized for by_student in found.values() for files in by_student.values() for recognized in files]
    where = " and ".join(str(path) for path in found)
    if not files:
        raise NoSubmission(f"there is no .py, .ipynb or .zip file in {where}")
    told = (topic,) if topic else tuple(name for by_student in found.values() for name in _told(by_student, topics))
    if not told and len(files) == 1 and files[0].file.problem:
        raise NoSubmission(f"{where}: {files[0].file.problem}")
    if not told:
        raise NoSubmission(f"the names of the files in {where} tell no topic: add --topic, or call them like {topics[0]}.py")
    return tuple(dict.fromkeys(told))


def _told(by_student: dict[str, list[_Recognized]], topics: Sequence[str]) -> tuple[str, ...]:
    told = {recognized.topic for files in by_student.values() for recognized in files}
    return tuple(topic for topic in topics if topic in told)


def _chosen(files: list[_Recognized], expected: tuple[str, ...]) -> list[HandedIn]:
    """Return a student's submissions, the student still to be named: one for every topic that the files are for.

    When only one topic is expected, a student's only file is for it, whatever its name, unless that names another.
    """
    topics = [topic for topic in expected if any(recognized.topic == topic for recognized in files)]
    if topics:
        return [_of_topic(topic, [recognized for recognized in files if recognized.topic == topic]) for topic in topics]
    if len(expected) == 1 and len(files) == 1 and files[0].topic is None:
        return [_of_topic(expected[0], files)]
    return [_missing(topic, files) for topic in expected]


def _of_topic(topic: str, files: list[_Recognized]) -> HandedIn:
    """Return what is for a topic. A notebook and a program made of it are one; otherwise the student must choose."""
    files = [recognized for recognized in files if recognized.exact] or files
    different = list({(one.file.content_sha256, PurePath(one.name).suffix.lower(), one.file.problem): one.file for one in files}.values())
    file = min(different, key=lambda file: not file.parts[-1].lower().endswith(".py"))
    problem = file.problem
    if len(different) > 1 and (len(different) > MAX_VERSIONS or any(one.problem for one in different)):
        problem = f"{listed([one.name for one in files])} were handed in, and they differ: hand in one of them only"
    sha256 = file.content_sha256 if len(different) == 1 else _sha256("".join(sorted(one.content_sha256 for one in different)))
    filename, problem = printable("/".join(file.parts), "_"), problem and printable(problem, "_")
    kept = tuple((printable("/".join(one.parts), "_"), one.content) for one in different if one.content and problem is None)
    return HandedIn("", topic, filename, sha256, problem, kept)


def _missing(topic: str, files: list[_Recognized]) -> HandedIn:
    only = f", only {listed([one.name for one in files])}: call the one to be graded so" if files else ": hand it in"
    return HandedIn("", topic, f"{topic}.py", _sha256(""), f"there is no {topic}.py or {topic}.ipynb{only}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _named(student: str, submissions: list[HandedIn], taken: set[tuple[str, str]]) -> list[HandedIn]:
    """Return the submissions with the student's name as a folder; a namesake's gets a number."""
    folder = name = _as_folder(student)
    number = 1
    while any((name.casefold(), submission.topic) in taken for submission in submissions):
        number += 1
        name = f"{folder} ({number})"
    taken.update((name.casefold(), submission.topic) for submission in submissions)
    return [replace(submission, student=name) for submission in submissions]


def _as_folder(name: str) -> str:
    """Return a name that is a safe folder on every system, as close to the given one as that allows.

    >>> _as_folder("Jan Novák"), _as_folder("../a:b"), _as_folder("CON"), _as_folder(" . ")
    ('Jan Novák', '_a_b', 'CON_', 'unnamed')
    """
    name = re.sub(r'[/\\:*?"<>|]', "_", printable(unicodedata.normalize("NFC", name), "_"))
    name = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip(". ")
    return f"{name}_" if WINDOWS_RESERVED.fullmatch(name) or name.casefold() in OWN_FILES else name or "unnamed"
