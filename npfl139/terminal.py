"""What all commands of `npfl139` share, wherever they come from: how they print, and how they refuse."""

from rich.console import Console
from rich.text import Text

__all__ = ["UserError", "console", "say"]

console = Console()


class UserError(Exception):
    """What was asked for cannot be done. The message is one sentence; the command ends with status 2."""


def say(text: str, style: str = "") -> None:
    """Print a text as it is: no markup, no wrapping."""
    console.print(Text(text, style=style), soft_wrap=True)
