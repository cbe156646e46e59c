"""Command lines that are told in one sentence what is wrong with them."""

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

__all__ = ["answer"]


def answer(app: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> object:
    """Run a command and return what its function returns; exit with the status where it asks for one, or has shown its help.

    Args:
        app: of one command or of several.
        program: what the user called, which begins the complaint: `npfl139: there is no option --stpes; did you mean --steps?`.
        arguments: by default those of this process.
    """
    try:
        result = app(arguments, prog_name=program, standalone_mode=False)
    except TyperException as error:
        message = _sentence(error)
        typer.echo(message if "\n" in message else f"{program}: {message}", err=True)  # several lines are the help of a bare command
        sys.exit(error.exit_code)
    if isinstance(result, int):  # so typer returns the status of an Exit
        sys.exit(result)
    return result


def _sentence(error: TyperException) -> str:
    unknown = getattr(error, "option_name", None)
    if unknown is None or not hasattr(error, "possibilities"):
        return error.format_message()
    nearest = f"did you mean {error.possibilities[0]}?" if error.possibilities else "--help lists those that there are"
    return f"there is no option {unknown}; {nearest}"
