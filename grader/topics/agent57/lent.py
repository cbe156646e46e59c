"""What the checks of agent57 lend to a submission's bandits, in its own process: what was pulled, which owes nothing to the exercises."""

from typing import Any

import torch


def remember(bandit: Any, window: list[tuple[int, float]], pulls: int) -> None:
    """Let the bandit hold the last pulls (arm, reward), the oldest first, and how many there were in all."""
    bandit.window.clear()
    bandit.window.extend((arm, reward) for arm, reward in window)
    bandit.pulls = pulls


def remembered(bandit: Any) -> torch.Tensor:
    """Return the pulls [n, 2] that the bandit holds, arm and reward."""
    return torch.tensor(list(bandit.window), dtype=torch.float64).reshape(-1, 2)
