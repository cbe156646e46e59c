"""What uniformly random play does, exactly, so that the returns our tasks declare need no simulation."""

import numpy as np

__all__ = ["occupancy"]


def occupancy(successors: np.ndarray, start: int, steps: int) -> np.ndarray:
    """Return the probabilities [steps + 1, S] of the states after 0, 1, ..., `steps` uniformly random actions.

    Args:
        successors: [S, A] the state that each action leads to; a final state leads to itself.
        start: the first state.
        steps: how many actions.

    >>> occupancy(np.array([[0, 1], [1, 1]]), 0, 2)[:, 1].tolist()
    [0.0, 0.5, 0.75]
    """
    states, actions = successors.shape
    probability = np.zeros((steps + 1, states))
    probability[0, start] = 1
    for step in range(steps):
        shares = np.repeat(probability[step] / actions, actions)
        probability[step + 1] = np.bincount(successors.ravel(), shares, states)
    return probability
