"""What a command answers: records, which a screen shows and a program reads."""

import datetime
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from npfl139.terminal import tell

__all__ = ["AsJson", "answer"]

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for programs.")]
Found = TypeVar("Found")


def answer(found: Found, as_json: bool, show: Callable[[Found], object]) -> None:
    """Print what was found: the records as JSON and nothing else, or what shows them."""
    if as_json:
        import msgspec  # commands are loaded where only students' packages are installed, too

        tell(msgspec.to_builtins(found, builtin_types=(datetime.timedelta,)))
    else:
        show(found)
