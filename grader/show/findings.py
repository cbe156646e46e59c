"""What a result says, in words: shared by the terminal table and the reports."""

from collections.abc import Sequence

from grader.records import Part, Result, Verdict
from npfl139.text import one_line as printable

__all__ = ["VERDICTS", "finding", "number", "passed_text", "printable", "score_text"]

VERDICTS: dict[str, str] = {
    Verdict.PASSED: "passed",
    Verdict.WRONG: "wrong",
    Verdict.MISSING: "not implemented",
    Verdict.BLOCKED: "blocked",
    Verdict.CRASHED: "crashed",
    Verdict.TIMEOUT: "took too long",
    Verdict.MEMORY: "needed too much memory",
    Verdict.VIOLATION: "not allowed",
    Verdict.GRADER_FAULT: "the grader failed",
}
STOPPED = (Verdict.VIOLATION, Verdict.TIMEOUT, Verdict.MEMORY, Verdict.CRASHED)  # the most serious first
NOT_WRITTEN = (Verdict.MISSING, Verdict.BLOCKED)


def number(value: float | None) -> str:
    """Return a score or a return as people write it: at most four significant digits, none of them useless."""
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def score_text(result: Result) -> str:
    """Return the score and its maximum."""
    return f"{number(result.score)} / {number(result.max_score)}"


def passed_text(parts: Sequence[Part]) -> str:
    """Return how many checks, or training checks, of how many passed."""
    return f"{sum(part.passed for part in parts)} / {len(parts)}" if parts else "–"


def finding(result: Result) -> str:
    """Return the one thing to say about a result: a fault of the grader, what stopped it, a named mistake, or the first failure."""
    if result.is_fault:
        return f"the grader failed at {result.faults[0].where}: {result.faults[0].feedback or 'no reason given'}"
    if result.problem:
        return result.problem
    if not result.failures:
        return f"everything passed. {result.note}" if result.note else "everything passed"
    if all(part.verdict in NOT_WRITTEN for part in result.parts):
        return "nothing is implemented yet"
    return _of_failures(result.failures)


def _of_failures(failures: Sequence[Part]) -> str:
    first = min(failures, key=_rank)  # the first of the most telling
    mistakes = {(part.where, part.mistake) for part in failures if part.mistake}
    others = len(mistakes) - 1 if first.mistake else 0
    reason = first.mistake or first.feedback or VERDICTS[first.verdict]
    subject = "" if reason.startswith(f"{first.where} ") else f"{first.where}: "
    return f"{subject}{reason}" + (f" (and {others} more)" if others > 0 else "")


def _rank(part: Part) -> int:
    """Return how late a failure is told: what stopped the submission, then named mistakes, at last what something else blocks."""
    if part.verdict in STOPPED:
        return STOPPED.index(part.verdict)
    return len(STOPPED) + (0 if part.mistake else 1 if part.verdict != Verdict.BLOCKED else 2)
