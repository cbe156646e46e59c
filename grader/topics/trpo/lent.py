"""What the checks of trpo lend to a submission's policies, in its own process: right divergences, and gradients that must stay."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Normal, kl_divergence

MARK = 0.5


def lend(policy: torch.nn.Module) -> None:
    """Give the policy divergences that do not come from the exercises, and every parameter a `.grad`."""
    vars(policy)["kl"] = _divergence
    for parameter in policy.parameters():
        parameter.grad = torch.full_like(parameter, MARK)


def untouched(policy: torch.nn.Module) -> bool:
    """Return whether every `.grad` is as it was lent."""
    return all(parameter.grad is not None and bool((parameter.grad == MARK).all()) for parameter in policy.parameters())


def _divergence(p: tuple[Tensor, ...], q: tuple[Tensor, ...]) -> Tensor:
    return kl_divergence(_distribution(*p), _distribution(*q))


def _distribution(*parts: Tensor) -> Distribution:
    if len(parts) == 1:
        return Categorical(logits=parts[0], validate_args=False)
    return Independent(Normal(parts[0], parts[1].exp(), validate_args=False), 1)
