"""What a command names, found or told in a sentence why not: a file, a topic, a run, a place to write to."""

import importlib
import types
from pathlib import Path

from npfl139.catalogue import Assignment, assignments, topic_of
from npfl139.source import SUFFIXES, Unreadable
from npfl139.terminal import UserError, missing, suggested

__all__ = ["assignment_of", "cannot_be_read", "expect_folder", "expect_run", "module_of"]


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
            known = assignments()
            raise UserError(
                f"there is no solution of {agent} here, and no file {own}: begin with npfl139 start {agent}, or name your file"
                if agent in known
                else f"there is no topic {agent!r}, and no file {own}; {suggested(agent, known)}"
            )
        agent = str(own)
    path = Path(agent)
    try:
        return load_module(path, path.stem)[0]
    except OSError as error:
        raise cannot_be_read(path, error) from error
    except (Unreadable, LoadError) as error:
        raise UserError(str(error)) from error


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
    if not folder.is_dir():
        raise UserError(missing(folder, "folder", (path for path in folder.parent.glob("*") if (path / CHECKPOINT).exists())))
    inside = sorted(path.parent for path in folder.glob(f"*/{CHECKPOINT}"))
    if inside:
        raise UserError(f"{folder} holds several runs: name one, such as {inside[-1]}")
    raise UserError(
        f"there is no {CHECKPOINT} in {folder}: a training writes its first after a minute, and one that was stopped before has none"
    )


def expect_folder(path: Path) -> None:
    """Do nothing if the folder is there into which the file is to be written.

    Raises:
        UserError: it is not.
    """
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} to write {path.name} into")
