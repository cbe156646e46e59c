"""Command lines that are told in one sentence what is wrong with them."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.exceptions import TyperException
from typer.main import get_command

from npfl139.terminal import complaints, say

__all__ = ["answer", "refuse"]

WORDS = {int: "INTEGER", float: "NUMBER", Path: "PATH"}  # what the help calls the value of an option; of others it repeats the name


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
        if message:  # a bare command has shown its help, and says nothing besides
            say(f"{program}: {message}", to=complaints)
        sys.exit(error.exit_code)
    if isinstance(result, int):  # so typer returns the status of an Exit
        sys.exit(result)
    return result


def refuse(program: str, reason: object) -> NoReturn:
    """Say in one sentence why what was asked for cannot be done; exit with status 2."""
    say(f"{program}: {reason}", to=complaints)
    sys.exit(2)


def _readable(command: Any) -> Any:
    """Return the command with a help that is broken where the terminal ends, and speaks of what a value is, not of Python's types.

    That is `FILE` and `--out PATH`, not `{FILE}` and `--out <path>`.
    """
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in (command.help or "").split("\n\n"))
    for one in command.commands.values() if isinstance(command, TyperGroup) else ():
        _readable(one)
    for parameter in [*command.params, command.get_help_option(typer.Context(command))]:
        if isinstance(parameter, TyperArgument):
            parameter.metavar = parameter.metavar or (parameter.name or "").upper()
            parameter.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # its name is in capitals already
            parameter.get_usage_pieces = partial(_in_usage, parameter)  # type: ignore[method-assign]
        elif isinstance(parameter, TyperOption) and parameter.metavar is None:
            word = WORDS.get(parameter.type_descriptor.annotation, (parameter.name or "").upper())
            parameter.metavar = "" if parameter.is_flag else word
    return command


def _in_usage(argument: TyperArgument, context: object) -> list[str]:
    word = argument.display_name_raw.strip("[].")
    return [f"{word if argument.required else f'[{word}]'}{'...' if argument.nargs != 1 else ''}"]


def _sentence(error: TyperException) -> str:
    message = error.format_message()
    if message.startswith("No such command") and "Did you mean" not in message:
        return f"{message} --help lists those that there are"
    if message.startswith("Got unexpected extra argument"):
        return f"{message}: is a name with blanks without quotation marks?"
    unknown = getattr(error, "option_name", None)
    context = getattr(error, "ctx", None)
    if hasattr(error, "param_type") and context is not None:  # something that must be said is missing
        return f"{message.rstrip('.')}: {context.command_path} --help says what belongs there"
    if unknown is None or not hasattr(error, "possibilities"):
        return message
    nearest = f"did you mean {error.possibilities[0]}?" if error.possibilities else "--help lists those that there are"
    return f"there is no option {unknown}; {nearest}"
