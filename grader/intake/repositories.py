"""Reads the history of a repository of git that somebody else wrote.

Only its objects are given to git, as the store of an empty repository of ours. So nothing else in it counts: no configuration, hook,
attribute, filter, replacement, or remote to fetch from. Links in the store are refused, time, memory and output are limited.
"""

import atexit
import contextlib
import datetime
import functools
import heapq
import itertools
import os
import re
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from npfl139.source import Unreadable

__all__ = ["Commit", "Entry", "Repository"]

SECONDS = 20
MEMORY = 2 * 2**20  # KiB
MAX_LISTED = 4 * 2**20  # bytes of all lists of files, of a commit, or of packed references
MIN_LISTED = 200  # bytes that a list of files counts for besides its own
MAX_DEPTH = 50  # folders in each other
MAX_COMMITS = 10_000
MAX_HEADER = 200
MAX_OBJECTS = 50_000  # files and folders in the store
DAMAGED = "the repository is damaged: clone it once more"
DAMAGED_OR_LARGE = "the repository is damaged or too large: clone it once more, and commit the assignment only"
TOO_MUCH = "the repository holds too much: commit the assignment only"
NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
ANSWER = re.compile(rb"(\w+) (\w+) (\d{1,18})\n")  # what git says before an object: its name, kind and size
REFERENCE = re.compile(r"ref: (refs/[\w.+@-]+(?:/[\w.+@-]+)*)")
# Limits of the shell, which not every system has all of; `exec` leaves no process between git and us.
LIMITED = f'ulimit -t {SECONDS}; ulimit -v {MEMORY} 2>/dev/null; ulimit -c 0; exec git "$@"'
SETTINGS = {"core.commitGraph": "false", "core.multiPackIndex": "false", "core.alternateRefsCommand": "false", "protocol.allow": "never"}


@dataclass(frozen=True)
class Commit:
    sha: str
    at: datetime.datetime  # when it was committed, as the committer's machine said
    tree: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A file in a commit."""

    parts: tuple[str, ...]
    sha: str
    is_link: bool


class Repository:
    """A repository with a working tree, at `path`, read by one process of git while the block lasts.

        with Repository(path) as repository: ...

    Raises:
        Unreadable: it is not such a one, or holds what git does not write. The message is a sentence, here and below.
    """

    def __init__(self, path: Path):
        self._git = path / ".git"
        self._objects = self._git / "objects"
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None
        self._commits: dict[str, Commit] = {}
        if not all(_is_folder(folder) for folder in (self._git, self._objects)):
            raise Unreadable("the repository is not complete: clone it once more")
        _refuse_strange(self._objects)

    def __enter__(self) -> "Repository":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def last_commit(self, deadline: datetime.datetime | None) -> Commit | None:
        """Return the last commit of the branch that is checked out whose date is not after the deadline; None where there is none."""
        try:
            head = self._head()
        except OSError as error:  # a link, or nobody may read it
            raise Unreadable(DAMAGED) from error
        waiting = [] if head is None else [(0.0, head)]
        seen = {head}
        while waiting:
            commit = self._commit(heapq.heappop(waiting)[1])
            if deadline is None or commit.at <= deadline:
                return commit
            for parent in commit.parents:
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(waiting, (-self._commit(parent).at.timestamp(), parent))
        return None

    def entries(self, commit: Commit) -> Iterator[Entry]:
        """Yield the files of a commit, without those in hidden folders."""
        left = MAX_LISTED
        waiting: list[tuple[tuple[str, ...], str]] = [((), commit.tree)]
        while waiting:
            folder, sha = waiting.pop()
            tree = self._object(sha, "tree", left) if len(folder) < MAX_DEPTH else None
            left -= len(tree) + MIN_LISTED if tree is not None else MAX_LISTED
            if tree is None or left < 0:
                raise Unreadable(TOO_MUCH)
            inside = []
            for match in re.finditer(rb"(\d{5,6}) ([^\0]+)\0(.{%d})" % (len(sha) // 2), tree, re.DOTALL):
                parts = (*folder, os.fsdecode(match[2]))
                if match[1] == b"40000":
                    inside += [(parts, match[3].hex())] if not parts[-1].startswith(".") else []
                elif match[1] != b"160000":  # a repository in it, which is not here
                    yield Entry(parts, match[3].hex(), match[1] == b"120000")
            waiting += reversed(inside)

    def content(self, entry: Entry, limit: int) -> bytes | None:
        """Return what a file holds; None where that is more than `limit` bytes."""
        return self._object(entry.sha, "blob", limit)

    def _commit(self, sha: str) -> Commit:
        if sha not in self._commits:
            if len(self._commits) == MAX_COMMITS:
                raise Unreadable(TOO_MUCH)
            content = self._object(sha, "commit", MAX_LISTED)
            if content is None:
                raise Unreadable(TOO_MUCH)
            header = content.partition(b"\n\n")[0].decode(errors="replace")
            tree = re.match(r"tree (\w+)$", header, re.MULTILINE)
            time = re.search(r"^committer [^\n]*> (\d{1,11}) [+-]\d+$", header, re.MULTILINE)
            if tree is None or time is None:
                raise Unreadable(DAMAGED)
            parents = tuple(re.findall(r"^parent (\w+)$", header, re.MULTILINE))
            self._commits[sha] = Commit(sha, datetime.datetime.fromtimestamp(int(time[1]), datetime.UTC), tree[1], parents)
        return self._commits[sha]

    def _head(self) -> str | None:
        """Return the commit that is checked out; None where nothing was committed."""
        told = _text(self._git / "HEAD", 1000).strip()
        reference = REFERENCE.fullmatch(told)
        if reference is None or ".." in told:
            return told if NAME.fullmatch(told) else None
        try:
            name = _text(self._git.joinpath(*reference[1].split("/")), 1000).strip()
        except FileNotFoundError:
            try:
                packed = _text(self._git / "packed-refs", MAX_LISTED)
            except FileNotFoundError:
                return None
            name = next((line.split(" ")[0] for line in packed.splitlines() if line.endswith(f" {reference[1]}")), "")
        return name if NAME.fullmatch(name) else None

    def _object(self, sha: str, kind: str, limit: int) -> bytes | None:
        """Return an object; None where it has more than `limit` bytes."""
        process = self._process or self._begun()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(f"{sha}\n".encode())
            process.stdin.flush()
            found = ANSWER.fullmatch(process.stdout.readline(MAX_HEADER))
            found = found if found and (found[1], found[2]) == (sha.encode(), kind.encode()) else None
            size = int(found[3]) if found else -1
            if size > limit:
                self._end()  # rather than to read what it prints of it
                return None
            content = process.stdout.read(size + 1) if found else b""
        except OSError as error:
            raise Unreadable(DAMAGED_OR_LARGE) from error
        if len(content) != size + 1 or not found:
            raise Unreadable(DAMAGED_OR_LARGE)
        return content[:-1]

    def _begun(self) -> "subprocess.Popen[bytes]":
        """Return a process of git that answers with the objects that it is asked for."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": _empty().name,
            "GIT_DIR": _empty().name,
            "GIT_OBJECT_DIRECTORY": str(self._objects.absolute()),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        command = ["/bin/sh", "-c", LIMITED, "git", *settings, "cat-file", "--batch"]
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=nothing)
        self._timer = threading.Timer(SECONDS, self._process.kill)
        self._timer.start()
        return self._process

    def _end(self) -> None:
        if self._process is not None and self._timer is not None:
            self._timer.cancel()
            self._process.kill()
            for stream in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # what was not written yet
                    stream.close()  # type: ignore[union-attr]
            self._process.wait()
            self._process = None


@functools.cache
def _empty() -> "tempfile.TemporaryDirectory[str]":
    """Return the folder of an empty repository, which ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="npfl139-git-")
    atexit.register(folder.cleanup)
    for name in ("objects", "refs"):
        Path(folder.name, name).mkdir()
    Path(folder.name, "HEAD").write_text("ref: refs/heads/none\n")
    Path(folder.name, "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    return folder


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _refuse_strange(objects: Path) -> None:
    """Refuse a store that leads to another one, or in which reading may never end."""
    left, waiting = MAX_OBJECTS, [objects]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            found = list(itertools.islice(entries, left + 1))
        for entry in found:
            left -= 1
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry))
            elif not entry.is_file(follow_symlinks=False) or entry.name in ("alternates", "http-alternates"):
                raise Unreadable("the repository takes its history from elsewhere: clone it once more")
            if left < 0:
                raise Unreadable(TOO_MUCH)


def _text(path: Path, limit: int) -> str:
    """Return the text of a small ordinary file.

    Raises:
        FileNotFoundError: there is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(DAMAGED)
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise Unreadable(DAMAGED)
    return content.decode(errors="replace")
