"""Distributions over actions: how they are drawn from, and how likely they say that an action is."""

import torch
from torch import Tensor

__all__ = ["categorical_log_prob", "categorical_sample", "gaussian_sample"]


def categorical_log_prob(logits: Tensor, action: Tensor) -> Tensor:
    """Return log π(a|s), [...], of the actions [...] of softmax(logits), [..., A].

    >>> categorical_log_prob(torch.zeros(2, 4), torch.tensor([0, 3])).exp().tolist()
    [0.25, 0.25]
    """
    return logits.log_softmax(dim=-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)


def categorical_sample(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return random actions [N] of softmax(logits), [N, A].

    >>> categorical_sample(torch.tensor([[0.0, 1000.0], [1000.0, 0.0]]), torch.Generator()).tolist()
    [1, 0]
    """
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(-1)


def gaussian_sample(mean: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """Return random actions [N, D] of N(μ, σ²), independent in each dimension.

    >>> gaussian_sample(torch.tensor([[3.0, -1.0]]), torch.zeros(2), torch.Generator()).tolist()
    [[3.0, -1.0]]
    """
    return mean + std * torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
