"""What a student of the unit gets: environments, rollouts, networks, run logs. It contains no answer to any exercise."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the sandbox imports this package, and needs none of it
    from npfl139.checking import Report

__all__ = ["DISTRIBUTION", "check", "command", "in_notebook", "load_ipython_extension"]

DISTRIBUTION = "deep-rl-unit"  # what pip knows us by


def check(*exercises: str) -> "Report | None":
    """Return what comes of the examples of exercises, by default of all, as the functions stand in the running notebook.

    Elsewhere it does nothing, so that a notebook can be run as a program.

    Raises:
        ValueError: there is no such exercise, or the notebook defines none.
    """
    if not in_notebook():
        return None
    from npfl139 import notebook

    return notebook.check(exercises)


def command(*words: object) -> str:
    """Return a command of ours as it is typed here: names quoted where a shell wants it, and in a notebook behind a `!`.

    >>> command("train", "ppo (2).py")
    "npfl139 train 'ppo (2).py'"
    """
    import shlex

    return ("!" if in_notebook() else "") + shlex.join(["npfl139", *map(str, words)])


def in_notebook() -> bool:
    """Return whether an IPython runs the code."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def load_ipython_extension(shell: Any) -> None:
    """Let a notebook tell of a missing exercise in one sentence: %load_ext npfl139."""
    from npfl139 import notebook

    notebook.extend(shell)
