"""What a result says, in words: shared by the terminal table and the reports."""

from npfl139.text import one_line as printable

__all__ = ["VERDICTS", "finding", "graded_parts", "is_fault", "number", "passed_text", "printable", "score_text", "where"]

VERDICTS = {
    "passed": "passed",
    "wrong": "wrong",
    "missing": "not implemented",
    "blocked": "blocked",
    "crashed": "crashed",
    "timeout": "took too long",
    "memory": "needed too much memory",
    "violation": "not allowed",
    "grader_fault": "the grader failed",
}


def graded_parts(result: dict) -> list[dict]:
    """Return the checks and the training checks of a result."""
    return result["checks"] + result["training"]


def is_fault(result: dict) -> bool:
    """Return whether the grader itself failed somewhere; that is never charged to the student."""
    return any(part["verdict"] == "grader_fault" for part in graded_parts(result))


def number(value: float | None) -> str:
    """Return a score or a return as people write it: at most four significant digits, none of them useless."""
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def score_text(result: dict) -> str:
    """Return the score and its maximum."""
    return f"{number(result['score'])} / {number(result['max_score'])}"


def passed_text(parts: list[dict]) -> str:
    """Return how many checks, or training checks, of how many passed."""
    return f"{sum(part['verdict'] == 'passed' for part in parts)} / {len(parts)}" if parts else "–"


def finding(result: dict) -> str:
    """Return the one thing to say about a result: a fault of the grader, what stopped it, a named mistake, or the first failure."""
    failures = [part for part in graded_parts(result) if part["verdict"] != "passed"]
    if not failures and not result["problem"]:
        return f"everything passed. {result['note']}" if result["note"] else "everything passed"
    faults = [part for part in failures if part["verdict"] == "grader_fault"]
    if faults:
        return f"the grader failed at {where(faults[0])}: {faults[0]['feedback'] or 'no reason given'}"
    if result["problem"]:
        return result["problem"]
    if all(part["verdict"] in ("missing", "blocked") for part in graded_parts(result)):
        return "nothing is implemented yet"
    violations = [part for part in failures if part["verdict"] == "violation"]
    mistakes = {(part["exercise"], part["mistake"]): part for part in failures if part.get("mistake")}
    first = (violations or list(mistakes.values()) or [part for part in failures if part["verdict"] != "blocked"] or failures)[0]
    others = len(mistakes) - 1 if first in mistakes.values() else 0
    reason = first.get("mistake") or first["feedback"] or VERDICTS.get(first["verdict"], first["verdict"])
    subject = "" if reason.startswith(f"{where(first)} ") else f"{where(first)}: "
    return f"{subject}{reason}" + (f" (and {others} more)" if others > 0 else "")


def where(part: dict) -> str:
    """Return the name by which a student knows what a check is about."""
    return part.get("exercise") or part["name"]
