"""The configuration of a run: a frozen dataclass, of which `npfl139.commandline` derives the options."""

from dataclasses import dataclass

import torch

__all__ = ["Config"]


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
