"""The configuration of a run: a frozen dataclass, and the command line derived from it."""

import argparse
import dataclasses
import inspect
import re
import types
import typing
from dataclasses import dataclass

import torch

__all__ = ["Config", "add_arguments", "overridden"]


@dataclass(frozen=True)
class Config:
    """What every agent's configuration has; a topic's own extends it."""

    seed: int = 42  # of every random stream
    steps: int = 100_000  # environment steps in all
    env_count: int = 8  # N, environments stepped together
    device: str = "auto"  # auto, cpu or cuda

    def __post_init__(self):
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, got {self.device!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is cuda, but this machine has no usable GPU; use cpu or auto")

    @property
    def torch_device(self) -> torch.device:
        """The device of the networks; `auto` takes a GPU where there is one."""
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")


def add_arguments(parser: argparse.ArgumentParser, config_type: type[Config]) -> None:
    """Add an option for every field of the dataclass, `clip_epsilon` as `--clip-epsilon`; the field's comment is its help.

    Defaults are suppressed, so that the parsed namespace holds only what was given.
    """
    kinds, comments = typing.get_type_hints(config_type), _comments(config_type)
    for field in dataclasses.fields(config_type):
        default = None if field.default is dataclasses.MISSING else field.default
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=field.name,
            type=_converter(kinds[field.name]),
            default=argparse.SUPPRESS,
            metavar=field.name.split("_")[-1].upper(),
            help=f"{comments.get(field.name, '')} [default: {default}]".strip().replace("%", "%%"),
        )


def overridden(config: Config, arguments: argparse.Namespace) -> Config:
    """Return the configuration with the fields that the command line gave."""
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(config) if hasattr(arguments, field.name)}
    return dataclasses.replace(config, **given)


def _comments(config_type: type[Config]) -> dict[str, str]:
    """Return the comments at the ends of the lines that declare fields."""
    comments = {}
    for base in reversed(config_type.__mro__):
        if dataclasses.is_dataclass(base):
            try:
                source = inspect.getsource(base)
            except (OSError, TypeError):  # defined in a notebook or by exec: no help then
                continue
            comments.update(re.findall(r"^\s+(\w+)\s*:[^#\n]*#\s*(.*)$", source, re.MULTILINE))
    return comments


def _converter(kind: object) -> typing.Callable[[str], object]:
    origin, parameters = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (inner,) = [parameter for parameter in parameters if parameter is not types.NoneType]
        return _named(lambda text: None if text == "none" else _converter(inner)(text), f"{inner.__name__} or none")
    if origin is tuple:
        return _named(lambda text: tuple(_converter(parameters[0])(item) for item in text.split(",") if item), "comma-separated list")
    if kind is bool:
        return _boolean
    return _integer if kind is int else kind


def _named(function: typing.Callable, name: str) -> typing.Callable:
    function.__name__ = name  # argparse says "invalid <name> value"
    return function


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}") from None


def _integer(text: str) -> int:
    """Return an integer written as 100000, 100_000 or 1e5."""
    number = float(text) if "e" in text.lower() else int(text)
    if number != int(number):
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(number)


_integer.__name__ = "whole number"
