"""JSON lines, one for each mark, for programs. In each is the score as LTI's Assignment and Grade Services take it.

Source: 1EdTech, "LTI Assignment and Grade Services 2.0", score publish service.
"""

import datetime
import json

from grader.course.exports.formats import Request, Written, comment, settled
from grader.course.exports.tables import save
from grader.course.marks import Mark

__all__ = ["write"]

PROGRESS = {  # (of the person, of the grading), by the state of the mark
    "graded": ("Completed", "FullyGraded"),
    "waiting": ("Submitted", "Pending"),
    "fault": ("Submitted", "Failed"),
    "missing": ("Initialized", "FullyGraded"),
    "excused": ("Initialized", "NotReady"),
}


def write(request: Request) -> Written:
    """Write all marks.

    Raises:
        ExportError: the file cannot be written.
    """
    save(request.out, "".join(json.dumps(_line(mark, request.now), ensure_ascii=False, allow_nan=False) + "\n" for mark in request.marks))
    return Written((request.out,))


def _line(mark: Mark, now: datetime.datetime) -> dict[str, object]:
    person, submitted = mark.person, mark.submitted_at.isoformat(timespec="milliseconds") if mark.submitted_at else None
    return {
        "name": person.name,
        "email": person.email,
        "sid": person.sid,
        "group": person.group,
        "keys": person.keys,
        "assignment": mark.assignment,
        "title": mark.title,
        "state": mark.state,
        "points": mark.points,
        "max_points": mark.max_points,
        "score": mark.score,
        "adjustment": mark.adjustment,
        "penalty": mark.penalty,
        "weight": mark.weight,
        "attempt": mark.attempt,
        "attempts": mark.attempts,
        "due": mark.due.isoformat(timespec="milliseconds") if mark.due else None,
        "submitted_at": submitted,
        "late_seconds": mark.late and mark.late.total_seconds(),
        "parts": [
            {"name": part.name, "where": part.where, "verdict": part.verdict.value, "score": part.score, "max_score": part.max_score}
            for part in (mark.result.parts if mark.result else ())
        ],
        "ags": _score(mark, submitted, now),
    }


def _score(mark: Mark, submitted: str | None, now: datetime.datetime) -> dict[str, object]:
    """Return the body of a request; `userId` is whatever the platform calls the person in a launch, or null where nobody told."""
    activity, grading = PROGRESS[mark.state] if mark.state != "missing" or settled(mark, now) else ("Initialized", "NotReady")
    score: dict[str, object] = {
        "userId": mark.person.keys.get("lti") or mark.person.keys.get("canvas"),
        "activityProgress": activity,
        "gradingProgress": grading,
        "timestamp": now.isoformat(timespec="milliseconds"),
    }
    if grading == "FullyGraded":
        score |= {"scoreGiven": mark.points, "scoreMaximum": mark.max_points, "comment": "; ".join(comment(mark))}
    if submitted:
        score["submission"] = {"submittedAt": submitted}
    return score
