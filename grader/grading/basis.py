"""What the runs of a training check rest on, as a hash: while it stays the same, they need not be repeated."""

import ast
import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import gymnasium
import numpy as np
import torch

from grader.contract.spec import Topic

__all__ = ["basis"]

LIBRARY = "npfl139"
NO_PART = (  # commands, what they show, and how topics are found: no training check goes there
    "grader.contract.registry",
    "npfl139",
    "npfl139.catalogue",
    "npfl139.monitor",
    "npfl139.runs",
)


def basis(topic: Topic) -> str:
    """Return the hash of the solutions, of what the training checks consist of, of the library that both use, and of the versions.

    Comments, docstrings and hidden unit checks change no score, and nothing here.
    """
    checks = f"{topic.package}.checks"
    modules = _modules([checks, *(f"solutions.{name}" for name in (topic.name, *topic.prerequisites))], topic.package)
    parts = [f"{name}\n{ast.unparse(_deciding(path))}" for name, path in sorted(modules.items())]
    versions = [f"{package.__name__} {package.__version__}" for package in (torch, np, gymnasium)]
    return hashlib.sha256("\n".join([*parts, *versions]).encode()).hexdigest()


def _modules(waiting: list[str], package: str) -> dict[str, Path]:
    """Return the modules that are imported by these, directly or through others, as far as they decide what a run gives."""
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name in found or name in NO_PART or not f"{name}.".startswith((f"{LIBRARY}.", "solutions.", "grader.contract.", f"{package}.")):
            continue
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:  # a name in a module, not a module
            spec = None
        if spec is None or spec.origin is None:
            continue
        found[name] = Path(spec.origin)
        waiting += _imported(found[name])
        if spec.submodule_search_locations and name.startswith(f"{LIBRARY}."):  # environments are found by their ids
            waiting += [f"{name}.{module.name}" for module in iter_modules(spec.submodule_search_locations)]
    return found


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(_deciding(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _deciding(path: Path) -> ast.Module:
    """Return the code of a module without comments, docstrings and hidden unit checks, and without what only these import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and any(map(_is_check, node.decorator_list)))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _is_check(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "check"
