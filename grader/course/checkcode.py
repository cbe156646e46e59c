"""What the code of a topic's checks is, as hashes: by them `diff` tells which check changed between two versions of a topic."""

import ast
import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.contract.registry import folder
from grader.course.models import CheckCode

__all__ = ["changed_checks", "kept"]


def kept(session: Session, topic: str, topic_sha256: str) -> None:
    """Keep what the code of the checks of a topic is now, where this version of it is new."""
    if session.scalars(select(CheckCode).where(CheckCode.topic_sha256 == topic_sha256).limit(1)).first() is None:
        text = (folder(topic) / "checks.py").read_text(encoding="utf-8")
        session.add_all(CheckCode(topic_sha256=topic_sha256, name=name, sha256=code) for name, code in codes(text).items())


def changed_checks(session: Session, before: str, after: str) -> list[str] | None:
    """Return the checks whose code differs between two versions of a topic; None where one of them was not kept."""
    old, new = (
        {each.name: each.sha256 for each in session.scalars(select(CheckCode).where(CheckCode.topic_sha256 == sha256))}
        for sha256 in (before, after)
    )
    return [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)] if old and new else None


def codes(text: str) -> dict[str, str]:
    """Return, for each check in a module, the hash of its code and of what it uses there. Comments and layout are no code.

    >>> one, other = (codes(f"SIZE = {size}\\ndef check_a(): pass\\ndef check_b(): return SIZE") for size in (1, 2))
    >>> one["check_a"] == other["check_a"], one["check_b"] == other["check_b"]
    (True, False)
    """
    found: dict[str, list[ast.stmt]] = {}
    for node in ast.parse(text).body:
        for name in _bound(node):
            found.setdefault(name, []).append(node)
    return {name: _sha256(name, found) for name in found if name.startswith("check_")}


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _sha256(check: str, found: dict[str, list[ast.stmt]]) -> str:
    used, waiting = {check}, [check]
    while waiting:
        for node in found[waiting.pop()]:
            more = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and each.id in found} - used
            used |= more
            waiting += more
    return hashlib.sha256("\n".join(ast.dump(node) for name in sorted(used) for node in found[name]).encode()).hexdigest()
