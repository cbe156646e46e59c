"""Reads the history of a repository of git that somebody else wrote.

Only its objects are given to git, as the store of an empty repository of ours. So nothing else in it counts: no configuration, hook,
attribute, filter, replacement, or remote to fetch from. Links in the store are refused, time, memory and output are limited.
"""

import atexit
import datetime
import functools
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
MAX_LISTED = 4 * 2**20  # bytes of a list of files, or of packed references
MAX_OBJECTS = 50_000  # files and folders in the store
NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
REFERENCE = re.compile(r"ref: (refs/[\w.+@-]+(?:/[\w.+@-]+)*)")
# Limits of the shell, which not every system has all of; `exec` leaves no process between git and us.
LIMITED = f'ulimit -t {SECONDS}; ulimit -v {MEMORY} 2>/dev/null; ulimit -c 0; exec git "$@"'
SETTINGS = {"core.commitGraph": "false", "core.multiPackIndex": "false", "core.alternateRefsCommand": "false", "protocol.allow": "never"}


@dataclass(frozen=True)
class Commit:
    sha: str
    at: datetime.datetime  # when it was committed, as the committer's machine said


@dataclass(frozen=True)
class Entry:
    """A file in a commit."""

    parts: tuple[str, ...]
    sha: str
    size: int
    is_link: bool


class Repository:
    """A repository with a working tree, at `path`.

    Raises:
        Unreadable: it is not such a one, or holds what git does not write. The message is a sentence, here and below.
    """

    def __init__(self, path: Path):
        self._git = path / ".git"
        self._objects = self._git / "objects"
        if not all(_is_folder(folder) for folder in (self._git, self._objects)):
            raise Unreadable("the repository is not complete: clone it once more")
        _refuse_strange(self._objects)

    def last_commit(self, deadline: datetime.datetime | None) -> Commit | None:
        """Return the last commit of the branch that is checked out whose date is not after the deadline; None where there is none."""
        try:
            head = self._head()
        except OSError as error:  # a link, or nobody may read it
            raise Unreadable("the repository is damaged: clone it once more") from error
        if head is None:
            return None
        until = [] if deadline is None else [f"--min-age={int(deadline.timestamp())}"]
        told = self._run("log", "-1", "--no-show-signature", "--format=%H %ct", *until, head, "--").decode()
        match = re.fullmatch(r"(\w+) (\d{1,11})\n", told)
        return Commit(match[1], datetime.datetime.fromtimestamp(int(match[2]), datetime.UTC)) if match else None

    def entries(self, commit: str) -> Iterator[Entry]:
        """Yield the files of a commit, in the order of their names."""
        for line in self._run("ls-tree", "-r", "-z", "--long", commit, "--").split(b"\0"):
            if match := re.fullmatch(rb"(\d+) blob (\w+) +(\d+)\t(.+)", line, re.DOTALL):
                parts = tuple(os.fsdecode(match[4]).split("/"))
                yield Entry(parts, match[2].decode(), int(match[3]), match[1] == b"120000")

    def content(self, entry: Entry) -> bytes:
        return self._run("cat-file", "blob", entry.sha, limit=entry.size)

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

    def _run(self, *arguments: str, limit: int | None = None) -> bytes:
        """Return what git prints about the objects, at most so many bytes."""
        limit = MAX_LISTED if limit is None else limit
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = ["/bin/sh", "-c", LIMITED, "git", *settings, *arguments]
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
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            try:
                printed = process.stdout.read(limit + 1) if process.stdout else b""
                if len(printed) > limit:
                    raise Unreadable("the repository holds too much: commit the assignment only")
                if process.wait():
                    raise Unreadable("the repository is damaged or too large: clone it once more, and commit the assignment only")
            finally:
                timer.cancel()
                process.kill()
        return printed


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
                raise Unreadable("the repository holds too much: commit the assignment only")


def _text(path: Path, limit: int) -> str:
    """Return the text of a small ordinary file.

    Raises:
        FileNotFoundError: there is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("the repository is damaged: clone it once more")
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise Unreadable("the repository is damaged: clone it once more")
    return content.decode(errors="replace")
