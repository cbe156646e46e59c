"""What the cells of a lecture show with the reference's functions: shipped beside the lecture, or else run once and kept.

What was run is kept with hashes of the lecture and of every file of ours that took part, and is run again when one of them changed. It
lies in `build/lectures/` of the project that holds the lecture, or in the user's cache where that was installed. It is not committed:
any change of the library would ask for all figures anew, which differ from machine to machine, and Git would keep them for ever.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from npfl139.files import write_atomically
from npfl139.lecture.running import Shown, from_json, run, to_json
from npfl139.lecture.text import code_of

__all__ = ["LectureError", "reference", "shipped", "shipped_text"]

OURS = ("npfl139", "solutions")
LIBRARIES = ("torch", "numpy", "matplotlib", "gymnasium")


class LectureError(ValueError):
    """The lecture cannot be run with the reference. The message is a sentence."""


def shipped(lecture: Path) -> list[Shown] | None:
    """Return what lies beside the lecture, in a bundle without solutions; None where nothing does.

    Raises:
        LectureError: it belongs to another text, or is damaged.
    """
    path = lecture.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        entry = json.loads(path.read_bytes())
        if entry["cells"] != _hash("\0".join(code_of(lecture.read_text(encoding="utf-8"))).encode()):
            raise LectureError(f"{path} belongs to other cells than those of {lecture.name}: unpack both from the bundle once more")
        return [from_json(one) for one in entry["shown"]]
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise LectureError(f"{path} is damaged: unpack it from the bundle once more") from error


def shipped_text(lecture: Path) -> str:
    """Return what a bundle ships beside the lecture.

    Raises:
        LectureError: as `reference`.
    """
    shown = [to_json(one) for one in reference(lecture)]
    cells = _hash("\0".join(code_of(lecture.read_text(encoding="utf-8"))).encode())
    return json.dumps({"cells": cells, "shown": shown}, indent=1) + "\n"


def reference(lecture: Path) -> list[Shown]:
    """Return what each cell shows; run them where that is not known yet, in a process of its own, in which warnings are errors.

    Raises:
        LectureError: a cell raises an exception.
    """
    path = _kept(lecture)
    shown = _current(path, lecture)
    if shown is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", __name__, str(lecture), str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise LectureError((done.stderr.strip().splitlines() or [f"{lecture.name}: it ended with status {done.returncode}"])[-1])
        shown = [from_json(one) for one in json.loads(path.read_bytes())["shown"]]
    return shown


def _main(lecture: Path, out: Path) -> None:
    cells = code_of(lecture.read_text(encoding="utf-8"))
    running = {"npfl139.lecture.running", "npfl139.lecture.text"}
    bystanders = set(sys.modules) - running  # what reads files and words errors changes no figure
    shown = run(cells)
    for number, one in enumerate(shown, 1):
        if not one.is_whole:
            sys.exit(f"{lecture.name}, cell {number}: {one.problem or f'{one.missing} is not implemented'}")
    root = Path(__file__).resolve().parents[2]
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in OURS and name not in bystanders]
    files = {str(file): _hash(Path(file).read_bytes()) for module in modules if (file := getattr(module, "__file__", None))}
    files = {os.path.relpath(file, root): value for file, value in sorted(files.items())}
    entry = {"lecture": _hash(lecture.read_bytes()), "files": files, "versions": _versions(), "shown": [to_json(one) for one in shown]}
    write_atomically(out, json.dumps(entry, indent=1) + "\n")


def _kept(lecture: Path) -> Path:
    project = lecture.resolve().parent.parent
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "npfl139"
    return (project / "build" if (project / "pyproject.toml").is_file() else cache) / "lectures" / f"{lecture.stem}.json"


def _current(path: Path, lecture: Path) -> list[Shown] | None:
    """Return what was kept; None where nothing was, something changed since, or it cannot be read."""
    root = Path(__file__).resolve().parents[2]
    try:
        entry = json.loads(path.read_bytes())
        known = entry["lecture"] == _hash(lecture.read_bytes()) and entry["versions"] == _versions()
        known = known and all(_hash((root / file).read_bytes()) == value for file, value in entry["files"].items())
        return [from_json(one) for one in entry["shown"]] if known else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
