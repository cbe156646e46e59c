"""Options of a command line, derived from the dataclass of a configuration: the fields, their types and their comments."""

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize
import types
import typing
from collections.abc import Callable
from typing import Annotated

import typer
from rich.markup import escape

from npfl139.config import Config

__all__ = ["comments", "options"]


def options(config_type: type[Config], defaults: Config, panel: str) -> list[inspect.Parameter]:
    """Return for every field a parameter that typer makes an option of, `clip_epsilon` as `--clip-epsilon`; its comment is its help.

    The argument is None where the option is not given, and otherwise a tuple of one element, the value (which may be None, too).
    """
    kinds, told = typing.get_type_hints(config_type), comments(config_type)

    def parameter(name: str) -> inspect.Parameter:
        kind = _kind(kinds[name])
        default = escape(f"[default: {_written(getattr(defaults, name))}]")
        text = f"{escape(told.get(name, ''))} [dim]{default}[/dim]".strip()
        option = typer.Option(parser=_parser(kind), metavar=kind.metavar, help=text, rich_help_panel=panel)
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])

    return [parameter(field.name) for field in dataclasses.fields(config_type)]


def comments(config_type: type) -> dict[str, str]:
    """Return the comments at the ends of the lines that declare the fields of a dataclass or a named tuple, and of those that it extends.

    A class without a source, such as one defined by `exec`, has none.
    """
    found: dict[str, str] = {}
    for base in filter(inspect.get_annotations, reversed(config_type.__mro__)):
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        by_line = {token.end[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
        fields = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AnnAssign)]
        found |= {ast.unparse(node.target): by_line[node.end_lineno] for node in fields if node.end_lineno in by_line}
    return found


class _Kind(typing.NamedTuple):
    """How the values of a type are written on the command line."""

    convert: Callable[[str], object]  # raises ValueError, OverflowError or KeyError
    expected: str  # in a complaint
    metavar: str  # in the help


def _kind(annotation: typing.Any) -> _Kind:
    origin, parameters = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        (inner,) = [_kind(parameter) for parameter in parameters if parameter is not types.NoneType]
        return _Kind(lambda text: None if text == "none" else inner.convert(text), f"{inner.expected} or none", f"{inner.metavar}|none")
    if origin is tuple:
        item = _kind(parameters[0])
        convert = item.convert
        return _Kind(
            lambda text: tuple(convert(part) for part in text.split(",") if part),
            item.expected + ", or several joined by commas",
            f"{item.metavar},...",
        )
    return _KINDS.get(annotation, _Kind(annotation, f"a {getattr(annotation, '__name__', annotation)}", "TEXT"))


def _whole(text: str) -> int:
    """Return an integer written as 100000, 100_000 or 1e5."""
    number = float(text) if "e" in text.lower() else int(text)
    if number != int(number):
        raise ValueError
    return int(number)


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS = {
    bool: _Kind(lambda text: _BOOLEANS[text.lower()], "true or false", "true|false"),
    int: _Kind(_whole, "a whole number", "INTEGER"),
    float: _Kind(float, "a number", "NUMBER"),
    str: _Kind(str, "a text", "TEXT"),
}


def _parser(kind: _Kind) -> Callable[[str], tuple[object]]:
    def parse(text: str) -> tuple[object]:
        try:
            return (kind.convert(text),)
        except (ValueError, OverflowError, KeyError):
            raise typer.BadParameter(f"expected {kind.expected}, got {text!r}") from None

    return parse


def _written(value: object) -> str:
    """Return a value as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
