"""Count, mean and variance of rows that several processes have seen, by the names of a `state_dict`: joined, and told apart again."""

from collections.abc import Mapping

from torch import Tensor

__all__ = ["joined", "since"]

Moments = Mapping[str, Tensor]  # count [], mean [D], variance [D], divided by the count


def joined(first: Moments, second: Moments) -> dict[str, Tensor]:
    """Return the moments of the rows of both.

    Source: Chan, Golub and LeVeque (1983), The American Statistician 37(3), Eq. 2.1.

    >>> import torch
    >>> one, two = ({"count": torch.tensor(1.0), "mean": torch.tensor([x]), "variance": torch.tensor([0.0])} for x in (1.0, 3.0))
    >>> {name: tensor.tolist() for name, tensor in joined(one, two).items()}
    {'count': 2.0, 'mean': [2.0], 'variance': [1.0]}
    """
    count = first["count"] + second["count"]
    if count == 0:
        return dict(first)
    share = second["count"] / count
    difference = second["mean"] - first["mean"]
    variance = (1 - share) * first["variance"] + share * second["variance"] + share * (1 - share) * difference**2
    return {"count": count, "mean": first["mean"] + share * difference, "variance": variance}


def since(before: Moments, now: Moments) -> dict[str, Tensor]:
    """Return the moments of the rows that came after `before`, so that `joined(before, since(before, now))` is `now`."""
    count = now["count"] - before["count"]
    if count == 0:
        return {"count": count, "mean": now["mean"] * 0, "variance": now["variance"] * 0}
    share = count / now["count"]
    mean = before["mean"] + (now["mean"] - before["mean"]) / share
    variance = (now["variance"] - (1 - share) * before["variance"]) / share - (1 - share) * (mean - before["mean"]) ** 2
    return {"count": count, "mean": mean, "variance": variance.clamp(min=0)}
