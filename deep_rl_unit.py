"""Where the command `npfl139` starts: it looks whose package `npfl139` is before it imports it.

On the public registry the name `npfl139` belongs to a course's own distribution, whose package has the same name. Installed side by
side, one of them overwrites or hides the other.
"""

import sys
from importlib.metadata import PackageNotFoundError, distribution

__all__ = ["main"]

ADVICE = (
    "npfl139: another distribution, called npfl139, is installed here too, and its package has the same name as ours: "
    "run `pip uninstall npfl139`, then install deep-rl-unit once more, or use a virtual environment for each"
)


def main() -> None:
    """Run the command line, unless another distribution's package has taken the place of ours."""
    if _is_shadowed():
        sys.exit(ADVICE)
    from npfl139.cli import main as run

    run()


def _is_shadowed() -> bool:
    """Return whether a distribution named npfl139 owns files of a package npfl139."""
    try:
        files = distribution("npfl139").files or ()
    except PackageNotFoundError:
        return False
    return any(file.parts[0] == "npfl139" for file in files)
