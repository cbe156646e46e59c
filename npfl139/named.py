"""What a command names, found or told in a sentence why not: a file, a topic, a run, a place to write to."""

import importlib.util
import types
from pathlib import Path

from npfl139.catalogue import Assignment, assignments, topic_of
from npfl139.source import SUFFIXES, Unreadable
from npfl139.terminal import UserError, missing, suggested

__all__ = ["assignment_of", "cannot_be_read", "expect_folder", "expect_named", "expect_run", "expect_there", "module_of"]


def assignment_of(file: Path) -> Assignment:
    """Return the assignment whose topic the name of a file tells.

    Raises:
        UserError: there is no such file, or its name tells no topic.
    """
    if not file.exists():
        raise cannot_be_read(file)
    if file.is_dir():
        raise UserError(f"{file} is a folder: name the .py or .ipynb file in it")
    known = assignments()
    topic, _ = topic_of(file.name, known)
    if topic is None:
        raise UserError(f"the name of {file} tells no topic: add --topic with one of {', '.join(known)}")
    return known[topic]


def module_of(agent: str, skeleton: Path | None = None) -> types.ModuleType:
    """Return the module of a file, or of a topic's solution where there is one, or else of a file that has its name, or its skeleton.

    Raises:
        UserError: there is none, or it cannot be run.
    """
    from npfl139.examples import LoadError, load_module

    if not agent.endswith(SUFFIXES):
        try:
            return importlib.import_module(f"solutions.{agent}")
        except ModuleNotFoundError as error:
            if error.name not in ("solutions", f"solutions.{agent}"):
                raise UserError(f"the solution of {agent} needs {error.name}, which is not installed") from error
        own = Path(f"{agent}.py")
        if skeleton is not None and not own.exists():
            own = skeleton
        if not own.exists():
            if agent not in assignments():
                raise _unknown(agent)
            raise UserError(f"there is no solution of {agent} here, and no file {own}: begin with npfl139 start {agent}, or name your file")
        agent = str(own)
    path = Path(agent)
    try:
        return load_module(path, path.stem)[0]
    except OSError as error:
        raise cannot_be_read(path, error) from error
    except (Unreadable, LoadError) as error:
        raise UserError(str(error)) from error


def expect_named(what: str) -> None:
    """Do nothing if a file, a folder, a topic or a solution has that name. Nothing is run to find that out, and no torch imported.

    Raises:
        UserError: none has; the message says which may be meant.
    """
    if what.endswith(SUFFIXES):
        if not Path(what).exists():
            raise cannot_be_read(Path(what))
    elif not (Path(what).is_dir() or what in assignments() or Path(f"{what}.py").exists() or _has_solution(what)):
        if Path(what).name != what:
            expect_there(Path(what))
        raise _unknown(what)


def _has_solution(topic: str) -> bool:
    try:
        return importlib.util.find_spec(f"solutions.{topic}") is not None
    except ModuleNotFoundError:  # there are no solutions at all
        return False


def _unknown(what: str) -> UserError:
    return UserError(f"there is no topic {what!r}, and no file {what}.py; {suggested(what, assignments())}")


def cannot_be_read(file: Path, error: OSError | None = None) -> UserError:
    """Return what to say of a program that is not there, or cannot be read."""
    if file.exists():
        return UserError(f"{file} cannot be read: {error.strerror if error else 'unknown error'}")
    return UserError(missing(file, "file", (path for path in file.parent.glob("*") if path.suffix in SUFFIXES)))


def expect_run(folder: Path) -> None:
    """Do nothing if the folder is that of a run.

    Raises:
        UserError: it is none; the message says where runs are.
    """
    from npfl139.runs import CHECKPOINT

    if (folder / CHECKPOINT).exists():
        return
    expect_there(folder)
    inside = sorted(path.parent for path in folder.glob(f"*/{CHECKPOINT}"))
    if inside:
        raise UserError(f"{folder} holds several runs: name one, such as {inside[-1]}")
    raise UserError(
        f"there is no {CHECKPOINT} in {folder}: a training writes its first after a minute, and one that was stopped before has none"
    )


def expect_there(folder: Path) -> None:
    """Do nothing if there is such a folder.

    Raises:
        UserError: there is none; the message says which one, in which something was trained, may be meant.
    """
    if not folder.is_dir():
        raise UserError(missing(folder, "folder", (path for path in folder.parent.glob("*") if any(path.glob("*.safetensors")))))


def expect_folder(path: Path) -> None:
    """Do nothing if the folder is there into which the file is to be written.

    Raises:
        UserError: it is not.
    """
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} to write {path.name} into")
