import argparse
import dataclasses
from dataclasses import dataclass

import pytest
import torch

from npfl139.config import Config, add_arguments, overridden


@dataclass(frozen=True)
class Example(Config):
    rate: float = 0.5  # α, somewhere: 50% of it
    sizes: tuple[int, ...] = (64, 64)  # hidden layers
    dueling: bool = True
    limit: int | None = None
    name: str = "plain"


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser, Example)
    return overridden(Example(name="preset"), parser.parse_args(arguments))


def test_nothing_given_changes_nothing():
    assert parsed() == Example(name="preset")


def test_every_type_of_field_is_read():
    config = parsed(
        "--rate", "1e-3", "--sizes", "32,16", "--dueling", "false", "--limit", "7", "--env-count", "4", "--steps", "1e6", "--seed", "1_000"
    )  # fmt: skip
    expected = Example(rate=1e-3, sizes=(32, 16), dueling=False, limit=7, env_count=4, steps=1_000_000, seed=1000, name="preset")
    assert config == expected and type(config.steps) is int
    assert parsed("--limit", "none").limit is None
    assert parsed("--dueling", "YES").dueling is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "1.5e0"], "expected a whole number, got '1.5e0'"),
        (["--steps", "many"], "invalid whole number value"),
        (["--dueling", "maybe"], "expected true or false, got 'maybe'"),
        (["--rate", "x"], "invalid float value"),
        (["--sizes", "1,b"], "invalid comma-separated list value"),
        (["--limit", "b"], "invalid int or none value"),
        (["--nonsense", "1"], "unrecognized arguments"),
    ],
)
def test_nonsense_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit:
        parsed(*arguments)
    assert exit.value.code == 2 and message in capsys.readouterr().err


def test_the_comment_of_a_field_is_its_help():
    parser = argparse.ArgumentParser()
    add_arguments(parser, Example)
    text = " ".join(parser.format_help().split())
    assert "--rate RATE α, somewhere: 50% of it [default: 0.5]" in text
    assert "--steps STEPS environment steps in all [default: 100000]" in text


def test_without_the_source_there_is_no_comment_but_the_option():
    space = {"Config": Config, "dataclass": dataclass}
    exec("@dataclass(frozen=True)\nclass Hidden(Config):\n    rate: float = 0.5", space)
    parser = argparse.ArgumentParser()
    add_arguments(parser, space["Hidden"])
    assert parser.parse_args(["--rate", "2"]).rate == 2


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().rate = 1.0


def test_devices():
    assert Config(device="cpu").torch_device == torch.device("cpu")
    assert Config(device="auto").torch_device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="device must be auto, cpu or cuda, got 'tpu'"):
        Config(device="tpu")


def test_a_missing_gpu_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no usable GPU; use cpu or auto"):
        Config(device="cuda")
