from dataclasses import dataclass
from inspect import Signature

import pytest
import typer

from npfl139 import usage
from npfl139.config import Config
from npfl139.options import comments, options


@dataclass(frozen=True)
class Example(Config):
    rate: float = 0.5  # α in [0, 1], somewhere: 50% of it
    sizes: tuple[int, ...] = (64, 64)  # hidden layers
    dueling: bool = True
    limit: int | None = None
    name: str = "# plain"  # how it is called
    scale: float = 1.0  # after an expression of several lines


def answered(config_type, *arguments):
    """Return the values that a command with the options of the dataclass was given."""

    def command(**given):
        return {name: argument[0] for name, argument in given.items() if argument is not None}

    command.__signature__ = Signature(options(config_type, config_type(), "Configuration"))
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return usage.answer(app, "program", arguments)


def test_only_what_was_given_arrives():
    assert answered(Example) == {}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("--rate=1e-3", 0.001), ("--sizes=32,16", (32, 16)), ("--sizes=8", (8,)), ("--sizes=", ()), ("--dueling=false", False),
        ("--dueling=YES", True), ("--limit=7", 7), ("--limit=none", None), ("--steps=1e6", 1_000_000), ("--steps=100_000", 100_000),
        ("--env-count=4", 4), ("--seed=-1", -1), ("--name=none", "none"),
    ],
)  # fmt: skip
def test_every_type_of_field_is_read(argument, value):
    ((_, read),) = answered(Example, argument).items()
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--steps", "1.5e0"], "Invalid value for '--steps': expected a whole number, got '1.5e0'"),
        (["--steps", "many"], "Invalid value for '--steps': expected a whole number, got 'many'"),
        (["--steps", "1e999"], "Invalid value for '--steps': expected a whole number, got '1e999'"),
        (["--dueling", "maybe"], "Invalid value for '--dueling': expected true or false, got 'maybe'"),
        (["--rate", "x"], "Invalid value for '--rate': expected a number, got 'x'"),
        (["--sizes", "1,b"], "Invalid value for '--sizes': expected a whole number, or several joined by commas, got '1,b'"),
        (["--limit", "b"], "Invalid value for '--limit': expected a whole number or none, got 'b'"),
        (["--raet", "1"], "there is no option --raet; did you mean --rate?"),
        (["--rate"], "Option '--rate' requires an argument."),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        answered(Example, *arguments)
    assert ended.value.code == 2 and capsys.readouterr().err == f"program: {complaint}\n"


def test_the_help_shows_for_every_field_its_comment_and_its_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit) as ended:
        answered(Example, "--help")
    assert ended.value.code == 0
    lines = [" ".join(line.strip("│ \n").split()) for line in capsys.readouterr().out.splitlines()]
    assert {
        "--seed INTEGER of every random stream [default: 42]",
        "--rate NUMBER α in [0, 1], somewhere: 50% of it [default: 0.5]",
        "--sizes INTEGER,... hidden layers [default: 64,64]",
        "--dueling true|false [default: true]",
        "--limit INTEGER|none [default: none]",
        "--name TEXT how it is called [default: # plain]",
    } <= set(lines)


def test_comments_are_those_at_the_ends_of_declarations():
    assert comments(Example)["name"] == "how it is called"
    assert comments(Example)["scale"] == "after an expression of several lines"
    assert comments(Example)["env_count"] == "N, environments stepped together"
    assert "dueling" not in comments(Example)


def test_without_the_source_there_is_no_comment_but_the_option():
    space = {"Config": Config, "dataclass": dataclass}
    exec("@dataclass(frozen=True)\nclass Hidden(Config):\n    width: float = 0.5", space)
    assert "width" not in comments(space["Hidden"])
    assert answered(space["Hidden"], "--width", "2") == {"width": 2.0}
