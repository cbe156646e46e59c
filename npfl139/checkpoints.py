"""Checkpoints: an agent's tensors, its optimizers' and some strings, in one safetensors file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import safetensors
import safetensors.torch
import torch

from npfl139.files import write_atomically

__all__ = ["Part", "RunError", "load_checkpoint", "load_parts", "read_metadata", "save_checkpoint", "state_of_parts"]


class RunError(Exception):
    """A run cannot be started, stored or restored; the message says why and what to do."""


class Part(Protocol):
    """An agent, or a part of one, whose tensors go into checkpoints: a module, or anything else that can tell and take them."""

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Return the tensors by name."""

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> object:
        """Take tensors that `state_dict` once returned; raise a RuntimeError, ValueError or KeyError if they are others."""


def state_of_parts(parts: Mapping[str, Part]) -> dict[str, torch.Tensor]:
    """Return the tensors of all parts in one dictionary, `part.tensor` -> tensor.

    >>> state_of_parts({"actor": torch.nn.Linear(1, 1, bias=False), "critic": torch.nn.Linear(1, 2)}).keys()
    dict_keys(['actor.weight', 'critic.weight', 'critic.bias'])
    """
    return {f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.state_dict().items()}


def load_parts(parts: Mapping[str, Part], state: Mapping[str, torch.Tensor]) -> None:
    """Give the parts their tensors back; others in the dictionary are left alone."""
    for name, part in parts.items():
        part.load_state_dict({key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")})


def save_checkpoint(path: str | Path, agent: Part, metadata: dict[str, str]) -> None:
    """Store an agent's tensors, the state of its optimizers and some strings; the file appears only once it is complete.

    The agent's `state_dict()` is a flat dictionary of tensors. Its optimizers are those of its dictionary `optimizers`, by name; without
    that, its attributes that are torch optimizers.

    Raises:
        OSError: the file cannot be written; an earlier one is left as it was.
    """
    tensors = {f"agent/{name}": tensor for name, tensor in agent.state_dict().items()}
    for name, optimizer in _optimizers(agent).items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    content = safetensors.torch.save({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, metadata)
    write_atomically(path, content)


def load_checkpoint(path: str | Path, agent: Part) -> dict[str, str]:
    """Load a checkpoint into an agent made with the same configuration; return the strings stored with it.

    Raises:
        RunError: there is no such file, it is damaged, or it belongs to an agent of another shape.
    """
    metadata = read_metadata(path)
    tensors = safetensors.torch.load_file(path)
    try:
        agent.load_state_dict({name.removeprefix("agent/"): tensor for name, tensor in tensors.items() if name.startswith("agent/")})
        optimizers = _optimizers(agent)
        stored = {name.split("/")[1] for name in tensors if name.startswith("optimizer/")}
        if stored - optimizers.keys():
            raise ValueError(f"it holds optimizers for {sorted(stored)}, the agent has {sorted(optimizers)}")
        for name, optimizer in optimizers.items():
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, tensor in tensors.items():
                if key.startswith(f"optimizer/{name}/"):
                    index, field = key.removeprefix(f"optimizer/{name}/").split("/")
                    state.setdefault(int(index), {})[field] = tensor
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    except (RuntimeError, ValueError, KeyError) as error:
        raise RunError(f"{path} belongs to an agent of another configuration: {error}") from error
    return metadata


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the strings stored in a checkpoint.

    Raises:
        RunError: there is no such file, or it is damaged.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except FileNotFoundError:
        raise RunError(f"there is no checkpoint {path}") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{path} is not a checkpoint, or is damaged: {error}") from error


def _optimizers(agent: object) -> dict[str, torch.optim.Optimizer]:
    if hasattr(agent, "optimizers"):
        return agent.optimizers
    return {name: value for name, value in vars(agent).items() if isinstance(value, torch.optim.Optimizer)}
