"""What Gradescope packs: a folder `submission_<number>` for each submission, and `submission_metadata.yml` beside, which says whose it is.

Its keys are `:submitters:` (`:name:`, `:sid:`, `:email:` of each member), `:created_at:`, and in `:history:` the earlier submissions, of
which only times and scores are packed.

Source: Gradescope's "Download Submissions", as in the exports that otter-grader and others read.
"""

import datetime
from dataclasses import replace
from typing import Any

import yaml

from grader.intake.archives import File, Note
from grader.intake.deliveries import Claim
from grader.intake.parcels import Export, NoSubmission, Parcel
from grader.intake.words import cleaned, moment
from npfl139.source import Unreadable

__all__ = ["PRIORITY", "parcels", "recognized"]

PRIORITY = 10
METADATA = "submission_metadata.yml"
MAX_METADATA = 64 * 2**20  # it repeats the results of all submissions
MAX_DEPTH = 50
MAX_MEMBERS = 50
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def recognized(export: Export) -> str | None:
    """Return why it is from Gradescope, None where it is not: all programs, and folders, lie in folders that have the metadata beside."""
    roots = _roots(export)
    covered = all(any(file.parts[: len(root)] == root and len(file.parts) > len(root) + 1 for root in roots) for file in export.files)
    alone = all(any(parts[: len(root)] in (root, root[: len(parts)]) for root in roots) for parts in export.listing.folders)
    return f"there is a {METADATA} beside the folders" if roots and covered and alone else None


def parcels(export: Export) -> list[Parcel]:
    """Return what each person or team handed in.

    Raises:
        NoSubmission: there is no metadata, or it cannot be read.
    """
    roots = _roots(export)
    if not roots:
        raise NoSubmission(f"{export.path}: there is no {METADATA}, which Gradescope puts beside the submissions: unpack its whole archive")
    return [parcel for root, note in roots.items() for parcel in _of_root(export, root, note)]


def _roots(export: Export) -> dict[tuple[str, ...], Note]:
    """Return the metadata by the folder that they lie in; what lies in a student's folder is the student's."""
    roots: dict[tuple[str, ...], Note] = {}
    for note in sorted(export.listing.notes, key=lambda note: len(note.parts)):
        root = note.parts[:-1]
        if note.parts[-1] == METADATA and not any(root[: len(other)] == other for other in roots):
            roots[root] = note
    return roots


def _of_root(export: Export, root: tuple[str, ...], note: Note) -> list[Parcel]:
    try:
        told = parsed(note.read(MAX_METADATA))
    except Unreadable as error:
        raise NoSubmission(f"{export.path}: {'/'.join(note.parts)} {error}: export it from Gradescope once more") from error
    files: dict[str, list[File]] = {str(name): [] for name in told}
    for file in export.files:
        if file.parts[: len(root)] == root and len(file.parts) > len(root) + 1:
            files.setdefault(file.parts[len(root)], []).append(replace(file, parts=file.parts[len(root) :]))
    return [_parcel(name, files[name], told.get(name)) for name in files]


def _parcel(folder: str, files: list[File], told: Any) -> Parcel:
    members = _members(told, folder)
    history = told.get(":history") if isinstance(told, dict) else None
    time = _time(told.get(":created_at")) if isinstance(told, dict) else None
    return Parcel(
        student=" + ".join(member.name or member.key for member in members),
        members=members,
        origin=folder,
        files=tuple(files),
        team=folder if len(members) > 1 else None,
        submitted_at=time,
        time_source="platform" if time else "unknown",
        attempt=len(history) + 1 if isinstance(history, list) else None,
    )


def _members(told: Any, folder: str) -> tuple[Claim, ...]:
    """Return who handed in, told by e-mail address, otherwise by student number, otherwise by the submission."""
    submitters = told.get(":submitters") if isinstance(told, dict) else None
    found = []
    for one in submitters[:MAX_MEMBERS] if isinstance(submitters, list) else ():
        if isinstance(one, dict):
            name, email, sid = (_text(one.get(f":{key}")) for key in ("name", "email", "sid"))
            if key := email or sid:
                found.append(Claim("gradescope", key, name, email, sid))
    return tuple(dict.fromkeys(found)) or (Claim("gradescope", folder),)


def _text(told: Any) -> str | None:
    return cleaned(told) or None if isinstance(told, str) else None


def _time(told: Any) -> datetime.datetime | None:
    """Return the time of a submission, in UTC where nothing else is said; Ruby may write it as an object that has a `utc`."""
    text = told.get("utc") if isinstance(told, dict) else told
    return moment(text, datetime.UTC) if isinstance(text, str) else None


def parsed(content: bytes) -> dict[str, Any]:
    """Return what a YAML document says, all scalars as texts; tags mean nothing, and what an alias repeats is shared, never copied.

    >>> parsed(b"submission_1:\\n  :submitters:\\n  - :name: Ada\\n    :sid: 007\\n")
    {'submission_1': {':submitters': [{':name': 'Ada', ':sid': '007'}]}}

    Raises:
        Unreadable: it is not YAML, nested too deeply, or not about submissions; the message completes its name to a sentence.
    """
    document: list[Any] = []
    open_nodes: list[tuple[Any, Any]] = [(document, None)]  # (a list or mapping, in a mapping the key that waits for its value)
    anchors: dict[str, Any] = {}
    try:
        for event in yaml.parse(content, Loader=LOADER):
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop()
            elif isinstance(event, yaml.NodeEvent):
                _add(open_nodes, anchors, event)
            if len(open_nodes) > MAX_DEPTH:
                raise Unreadable(f"is nested more than {MAX_DEPTH} levels deep")
    except (yaml.YAMLError, UnicodeDecodeError, KeyError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Unreadable(f"is not YAML{f' in line {mark.line + 1}' if mark else ''}") from error
    if len(document) != 1 or not isinstance(document[0], dict):
        raise Unreadable("does not say whose submissions these are")
    return document[0]


KEY_WAITS = object()


def _add(open_nodes: list[tuple[Any, Any]], anchors: dict[str, Any], event: Any) -> None:
    """Add what an event of the parser begins to the innermost node that is open."""
    if isinstance(event, yaml.AliasEvent):
        node = anchors[event.anchor]
    else:
        node = {} if isinstance(event, yaml.MappingStartEvent) else [] if isinstance(event, yaml.SequenceStartEvent) else event.value
        if event.anchor:
            anchors[event.anchor] = node
    parent, key = open_nodes[-1]
    if isinstance(parent, list):
        parent.append(node)
    elif key is None:
        open_nodes[-1] = parent, node if isinstance(node, str) else KEY_WAITS
    else:
        if isinstance(key, str):
            parent[key] = node
        open_nodes[-1] = parent, None
    if isinstance(event, yaml.CollectionStartEvent):
        open_nodes.append((node, None))
