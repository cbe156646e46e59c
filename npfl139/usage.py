"""Command lines that are told in one sentence what is wrong with them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.exceptions import TyperException
from typer.main import get_command

__all__ = ["answer"]

WORDS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}  # what the help calls the value of an option that does not say it


def answer(app: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> object:
    """Run a command and return what its function returns; exit with the status where it asks for one, or has shown its help.

    Args:
        app: of one command or of several.
        program: what the user called, which begins the complaint: `npfl139: there is no option --stpes; did you mean --steps?`.
        arguments: by default those of this process.
    """
    try:
        result = _readable(get_command(app))(arguments, prog_name=program, standalone_mode=False)
    except TyperException as error:
        message = _sentence(error)
        typer.echo(message if "\n" in message else f"{program}: {message}", err=True)  # several lines are the help of a bare command
        sys.exit(error.exit_code)
    if isinstance(result, int):  # so typer returns the status of an Exit
        sys.exit(result)
    return result


def _readable(command: Any) -> Any:
    """Return the command with a help that speaks of what a value is, not of Python's types: `--out PATH`, not `--out <path>`."""
    for one in command.commands.values() if isinstance(command, TyperGroup) else ():
        _readable(one)
    for parameter in [*command.params, command.get_help_option(typer.Context(command))]:
        if isinstance(parameter, TyperArgument):
            parameter.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # its name is in capitals already
        elif isinstance(parameter, TyperOption) and parameter.metavar is None:
            parameter.metavar = "" if parameter.is_flag else WORDS.get(parameter.type_descriptor.annotation, "TEXT")
    return command


def _sentence(error: TyperException) -> str:
    unknown = getattr(error, "option_name", None)
    context = getattr(error, "ctx", None)
    if hasattr(error, "param_type") and context is not None:  # something that must be said is missing
        return f"{error.format_message().rstrip('.')}: {context.command_path} --help says what belongs there"
    if unknown is None or not hasattr(error, "possibilities"):
        return error.format_message()
    nearest = f"did you mean {error.possibilities[0]}?" if error.possibilities else "--help lists those that there are"
    return f"there is no option {unknown}; {nearest}"
