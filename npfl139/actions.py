"""The check of actions, before an environment sees them."""

import numpy as np
from gymnasium.spaces import Discrete, Space

__all__ = ["checked_actions"]


def checked_actions(actions: object, space: Space, count: int) -> np.ndarray:
    """Return the actions in the type of the space, if they are an array of `count` actions of it: of its shape and kind, finite, in range.

    A Box may be left, as in Gymnasium, where the environment says what an action outside of it does.

    Raises:
        ValueError: they are something else.
    """
    if type(actions) is not np.ndarray:
        raise ValueError(f"actions must be a numpy array, got {type(actions).__name__}")
    shape = (count, *(space.shape or ()))
    if actions.shape != shape:
        raise ValueError(f"actions must have shape {list(shape)}, got {list(actions.shape)}")
    if isinstance(space, Discrete):
        if actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be integers, got {actions.dtype}")
        first, last = space.start, space.start + space.n - 1
        if actions.min() < first or actions.max() > last:
            raise ValueError(f"actions must lie in {first} ... {last}, got {actions.min()} ... {actions.max()}")
    elif actions.dtype.kind not in "iuf":
        raise ValueError(f"actions must be numbers, got {actions.dtype}")
    with np.errstate(over="ignore"):
        actions = actions.astype(space.dtype, copy=False)
    if actions.dtype.kind == "f" and not np.isfinite(actions).all():
        raise ValueError("actions must be finite numbers")
    return actions
