"""The solutions: where they lie, whichever distribution brought them, and which of them each builds on. It executes none of them."""

import ast
from importlib.util import find_spec
from pathlib import Path

__all__ = ["checkout", "prerequisites", "solution"]


def solution(name: str) -> Path:
    """Return where the solution of a topic lies, as the import system finds it.

    Raises:
        ValueError: there is none.
    """
    try:
        spec = find_spec(f"solutions.{name}")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no solution of {name!r}: solutions/{name}.py must be installed with the topic")
    return Path(spec.origin)


def prerequisites(name: str) -> frozenset[str]:
    """Return the solutions that the solution of a topic imports, directly or through others.

    Raises:
        ValueError: one of them does not exist.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = _imported(solution(waiting.pop()).read_text(encoding="utf-8")) - found
        found |= new
        waiting += new
    return frozenset(found - {name})


def checkout(folder: Path) -> Path | None:
    """Return the project around a folder, which has a pyproject.toml; None where there is none, because the folder was installed.

    What lies in a virtual environment inside a checkout was installed.
    """
    for around in (folder, *folder.parents):
        if around.name in ("site-packages", "dist-packages"):
            return None
        if (around / "pyproject.toml").is_file():
            return around
    return None


def _imported(source: str) -> set[str]:
    if "solutions" not in source:  # parsing is what takes time, and most solutions build on no other
        return set()
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "solutions":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= _below(node.module)
        elif isinstance(node, ast.Import):
            found |= {name for alias in node.names for name in _below(alias.name)}
    return found


def _below(module: str) -> set[str]:
    """Return {x} for solutions.x, otherwise nothing."""
    package, _, rest = module.partition(".")
    return {rest.split(".")[0]} if package == "solutions" and rest else set()
