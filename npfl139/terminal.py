"""What all commands of `npfl139` share, wherever they come from: how they print, and how they refuse."""

import datetime
import difflib
import json
from collections.abc import Collection, Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from npfl139.text import nearest

__all__ = ["UserError", "complaints", "console", "missing", "say", "suggested", "tell"]

console = Console(force_jupyter=False)  # in a notebook, too, what is said is text
complaints = Console(stderr=True, force_jupyter=False)


class UserError(Exception):
    """What was asked for cannot be done. The message is one sentence; the command ends with status 2."""


def say(text: str | Text, style: str = "", to: Console = console) -> None:
    """Print a text as it is, without markup. A terminal's lines end between words; a program reads the lines as they are."""
    to.print(Text(text, style=style) if isinstance(text, str) else text, soft_wrap=not to.file.isatty())  # colours may be forced elsewhere


def tell(answer: object) -> None:
    """Print an answer as JSON, for programs. Spans of time are seconds; nothing but ASCII, so that no text in it can move a cursor."""
    print(json.dumps(answer, indent=2, default=datetime.timedelta.total_seconds))


def missing(path: Path, kind: str, beside: Iterable[Path]) -> str:
    """Return what to say of a path at which there is nothing: which of those beside it may be meant.

    >>> missing(Path("work/pop.py"), "file", [Path("work/ppo.py"), Path("work/notes.txt")])
    'there is no file work/pop.py; did you mean work/ppo.py?'
    """
    near = difflib.get_close_matches(path.name, [other.name for other in beside], n=1)
    return f"there is no {kind} {path}" + (f"; did you mean {path.with_name(near[0])}?" if near else "")


def suggested(name: str, known: Collection[str]) -> str:
    """Return what to say of a name that nothing has: which one may be meant, or else which ones there are.

    >>> suggested("pop", ["trpo", "ppo"]), suggested("x", ["trpo", "ppo"]), suggested("x", ["ppo"])
    ("did you mean 'ppo'?", 'there are trpo, ppo', 'there is only ppo')
    """
    told = nearest(name, known)
    return told.replace("there are", "there is only", 1) if len(known) == 1 else told
