"""Folders and archives that no platform packed.

The layouts understood: one file; a folder or zip archive of `<student>/<topic>.py|.ipynb|.zip`, of `<topic>_<student>.py` and
`<student>_<topic>.py`; any of these in folders that only wrap it; and a student's own folder.
"""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import PurePath

from grader.intake.archives import IGNORED, File
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, NoSubmission, Parcel, lies_alone
from grader.intake.words import cleaned
from npfl139.catalogue import topic_of
from npfl139.text import printable

__all__ = ["parcels", "recognized"]


def recognized(export: Export) -> str | None:
    """Return None: these are asked for nothing, and take what no platform packed."""
    return None


def parcels(export: Export) -> list[Parcel]:
    """Return what each student handed in; nothing for a folder of a student in which there is no program.

    Raises:
        NoSubmission: the folder of a class would be taken for that of a student.
    """
    return of_files(export, list(export.files))


def of_files(export: Export, given: list[File]) -> list[Parcel]:
    """Return the parcels that some of an export's files make, as `parcels`."""
    path, topics = export.path, export.topics
    is_archive = path.is_file() and path.suffix.lower() == ".zip"
    is_program = path.is_file() and not is_archive
    own = path.stem if is_archive else path.parent.name if is_program else path.name
    around, files = _unwrapped(export, given)
    found: dict[str, list[File]] = {name: [] for name in _folders(export, around, files)}
    for file in files:
        found.setdefault(_student(file.parts, topics, own), []).append(file)
    _refuse_a_class_as_a_student(export, found)
    found = found or {own: []}
    told = dict.fromkeys(files, export.asked) if is_program and export.asked else {}
    names: dict[str, set[str]] = {}
    for name in found:
        names.setdefault(cleaned(name), set()).add(printable(unicodedata.normalize("NFC", name), "_"))
    return [_parcel(name, files, told, disguised=len(names[cleaned(name)]) > 1) for name, files in found.items()]


def _parcel(name: str, files: list[File], told: dict[File, str], disguised: bool) -> Parcel:
    """Return a student's parcel; nobody is taken for another by a name that is `disguised`, since it only looks like the other's."""
    whole = printable(unicodedata.normalize("NFC", name), "_") if disguised else cleaned(name)
    return Parcel(name, (Claim("folder", whole, whole),), files[0].parts[0] if files else name, tuple(files), told=told)


def _folders(export: Export, around: tuple[str, ...], files: list[File]) -> list[str]:
    """Return the students whose folders lie in the folder of a class, by name; nobody where it is none."""
    path = export.path.joinpath(*around)
    if not path.is_dir() or any(len(file.parts) == 1 for file in files):
        return []
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False) and not IGNORED.match(entry.name))


def _unwrapped(export: Export, files: list[File]) -> tuple[tuple[str, ...], list[File]]:
    """Return the folders that only wrap a class, and the files without them; beside that of one student lie those of others."""
    around, people = _people(files, export.topics)
    if not lies_alone(export, around):
        around = next(around[:length] for length in reversed(range(len(around))) if lies_alone(export, around[:length]))
    elif len(people) < 2:
        around = ()
    return around, [replace(file, parts=file.parts[len(around) :]) for file in files]


def _people(files: list[File], topics: Sequence[str]) -> tuple[tuple[str, ...], set[str]]:
    """Return the folders that all the files share, and the folders directly in there that may be those of different people."""
    levels = zip(*(file.parts[:-1] for file in files), strict=False)
    around = tuple(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))
    if any(len(file.parts) == len(around) + 1 for file in files):
        return around, set()  # a file lies among the folders, as among those of one person
    return around, {name for name in (file.parts[len(around)] for file in files) if topic_of(name, topics)[0] is None}


def _refuse_a_class_as_a_student(export: Export, found: dict[str, list[File]]) -> None:
    """Refuse what looks as if the folder of a class was taken for that of a student.

    Who only kept older versions in folders of their own has fewer of them than there are other students, or else is alone with it.
    """
    limit = max(1, len(found) - 1)
    many = {student: told for student, files in found.items() if (told := _in_many_folders(export, files, limit))}
    if not many or 2 * len(many) < len(found):
        return
    student, (topic, people) = next(iter(many.items()))
    some = ", ".join(sorted(printable(name, "_") for name in people)[:3])
    raise NoSubmission(
        f"{export.path}: {printable(student, '_')} would be a student with {topic} in {len(people)} folders ({some}), as if "
        "they were of different people: name the folder in which each student has one"
    )


def _in_many_folders(export: Export, files: list[File], limit: int) -> tuple[str, set[str]] | None:
    """Return a topic that one student has in more than `limit` folders as if of different people, and these; None where there is none."""
    of_topic: dict[str, list[File]] = {}
    for file in files:
        of_topic.setdefault(topic_of(file.name, export.topics)[0] or export.asked or "", []).append(file)
    folders = {topic: _people(same, export.topics)[1] for topic, same in of_topic.items() if topic}
    return next(((topic, people) for topic, people in folders.items() if len(people) > limit), None)


def _student(parts: tuple[str, ...], topics: Sequence[str], own: str) -> str:
    """Return whose file it is: by its folder, otherwise by what its name says besides the topic, otherwise by `own`."""
    first = parts[0]
    if len(parts) > 1 and not first.lower().endswith(".zip"):
        return first
    topic, rest = topic_of(first, topics)
    return rest or (own if topic else PurePath(first).stem)
