"""What all commands of `npfl139` share, wherever they come from: how they print, and how they refuse."""

from collections.abc import Collection

from rich.console import Console
from rich.text import Text

from npfl139.text import nearest

__all__ = ["UserError", "console", "say", "suggested"]

console = Console()


class UserError(Exception):
    """What was asked for cannot be done. The message is one sentence; the command ends with status 2."""


def say(text: str, style: str = "") -> None:
    """Print a text as it is: no markup, no wrapping."""
    console.print(Text(text, style=style), soft_wrap=True)


def suggested(name: str, known: Collection[str]) -> str:
    """Return what to say of a name that nothing has: which one may be meant, or else which ones there are.

    >>> suggested("pop", ["trpo", "ppo"]), suggested("x", ["trpo", "ppo"]), suggested("x", ["ppo"])
    ("did you mean 'ppo'?", 'there are trpo, ppo', 'there is only ppo')
    """
    told = nearest(name, known)
    return told.replace("there are", "there is only", 1) if len(known) == 1 else told
