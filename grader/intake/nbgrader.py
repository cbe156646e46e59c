"""What nbgrader keeps: `submitted/<student>/<assignment>/…`, in each assignment a `timestamp.txt`.

Source: nbgrader, "The philosophy and the approach" (directory structure) and `nbgrader/exchange`.
"""

from dataclasses import replace

from grader.intake.archives import SUBMITTED, File
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, NoSubmission, Parcel, lies_alone, shared
from grader.intake.words import cleaned, moment
from npfl139.catalogue import topic_of
from npfl139.source import Unreadable

__all__ = ["PRIORITY", "parcels", "recognized"]

PRIORITY = 30
BESIDE = {"nbgrader_config.py", "source", "release", "autograded", "feedback", "gradebook.db"}  # any of these, in the folder of a course
TIMESTAMP = "timestamp.txt"
MAX_TIMESTAMP = 1000


def recognized(export: Export) -> str | None:
    """Return why it is from nbgrader, None where it is not."""
    root = _root(export)
    if root is None:
        return None
    if root[-1:] == (SUBMITTED,):
        return f"there is a folder {SUBMITTED}/ as in the folder of a course"
    return f"most of its folders <student>/<assignment>/ have a {TIMESTAMP}"


def parcels(export: Export) -> list[Parcel]:
    """Return what each student handed in for each assignment.

    Raises:
        NoSubmission: it has another layout.
    """
    root = _root(export)
    if root is None:
        raise NoSubmission(f"{export.path}: there is no folder <student>/<assignment>/ with a {TIMESTAMP}: name nbgrader's {SUBMITTED}/")
    handed: dict[tuple[str, str], list[File]] = {}
    for folder in export.listing.folders:
        if len(folder) == len(root) + 2 and folder[: len(root)] == root:
            handed[folder[-2], folder[-1]] = []
    for file in export.files:
        inside = file.parts[len(root) :]
        if file.parts[: len(root)] == root and len(inside) > 2:
            handed.setdefault((inside[0], inside[1]), []).append(replace(file, parts=inside))
    times = {note.parts[len(root) : -1]: note for note in export.listing.notes if note.parts[-1] == TIMESTAMP}
    found = []
    for (student, assignment), files in handed.items():
        try:
            note = times.get((student, assignment))
            time = moment(note.read(MAX_TIMESTAMP).decode(errors="replace")) if note else None
        except Unreadable:
            time = None
        found.append(
            Parcel(
                student=student,
                members=(Claim("nbgrader", cleaned(student)),),
                origin=f"{student}/{assignment}",
                files=tuple(files),
                topic=topic_of(assignment, export.topics)[0],
                submitted_at=time,
                time_source="platform" if time else "unknown",
            )
        )
    return found


def _root(export: Export) -> tuple[str, ...] | None:
    """Return the folder of the students' folders, None where there is none: whoever hands in may imitate only what lies in theirs."""
    around = shared(file.parts[:-1] for file in export.files)
    depths = [length for length in range(len(around) + 1) if lies_alone(export, around[:length])]
    for length in depths:
        beside = {parts[length] for parts in _paths(export) if parts[:length] == around[:length] and len(parts) > length}
        if SUBMITTED in beside and beside & BESIDE:
            return (*around[:length], SUBMITTED)
    times = {note.parts[:-1] for note in export.listing.notes if note.parts[-1] == TIMESTAMP}
    for length in depths:
        handed = {file.parts[: length + 2] for file in export.files if len(file.parts) > length + 2}
        if len(handed) == len({file.parts[: length + 2] for file in export.files}) and 2 * len(handed & times) > len(handed):
            return around[:length]
    return None


def _paths(export: Export) -> list[tuple[str, ...]]:
    return [*export.listing.folders, *(file.parts for file in export.files), *(note.parts for note in export.listing.notes)]
