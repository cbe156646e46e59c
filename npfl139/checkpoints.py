"""Checkpoints: an agent's tensors, its optimizers' and some strings, in one safetensors file."""

from pathlib import Path

import safetensors
import safetensors.torch
import torch

from npfl139.files import write_atomically

__all__ = ["RunError", "load_checkpoint", "read_metadata", "save_checkpoint"]


class RunError(Exception):
    """A run cannot be started, stored or restored; the message says why and what to do."""


def save_checkpoint(path: str | Path, agent: object, metadata: dict[str, str]) -> None:
    """Store an agent's tensors, the state of its optimizers and some strings; the file appears only once it is complete.

    The agent's `state_dict()` is a flat dictionary of tensors; its optimizers are its attributes that are torch optimizers.

    Raises:
        OSError: the file cannot be written; an earlier one is left as it was.
    """
    tensors = {f"agent/{name}": tensor for name, tensor in agent.state_dict().items()}
    for name, optimizer in _optimizers(agent).items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    content = safetensors.torch.save({name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, metadata)
    write_atomically(path, content)


def load_checkpoint(path: str | Path, agent: object) -> dict[str, str]:
    """Load a checkpoint into an agent made with the same configuration; return the strings stored with it.

    Raises:
        RunError: there is no such file, it is damaged, or it belongs to an agent of another shape.
    """
    metadata = read_metadata(path)
    tensors = safetensors.torch.load_file(path)
    try:
        agent.load_state_dict({name.removeprefix("agent/"): tensor for name, tensor in tensors.items() if name.startswith("agent/")})
        for name, optimizer in _optimizers(agent).items():
            state = {}
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
    return {name: value for name, value in vars(agent).items() if isinstance(value, torch.optim.Optimizer)}
