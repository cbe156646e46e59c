"""Reads and takes apart what students handed in, in a worker of the sandbox: Python's parser has inputs that cost it hours or gigabytes.

One worker serves all submissions, since it runs none of them; one that took too long or died is replaced.
"""

import threading
from typing import Any

import numpy as np
from msgspec.structs import replace

from grader.contract.spec import Topic
from grader.contract.student import StudentError
from grader.grading.graft import Graft, given_code
from grader.grading.remote import Sandboxed
from grader.grading.sandbox import Sandbox
from grader.inside.limits import Limits
from grader.records import Submission, Verdict
from npfl139.text import printable

__all__ = ["read", "taken_apart"]

LIMITS = Limits(seconds=10, cpu_seconds=24 * 3600)  # the longest solution needs less than a tenth of a second
_lock = threading.Lock()


def read(submission: Submission, sandbox: Sandbox) -> Submission:
    """Return the submission with its source, or with the problem because of which it has none.

    Raises:
        StudentError: the grader itself failed.
    """
    if not submission.unread:
        return submission
    files = [[name, np.frombuffer(content, np.uint8)] for name, content in submission.unread]
    try:
        found = _asked(sandbox, "parse", files=files)
    except StudentError as error:
        if error.verdict == Verdict.GRADER_FAULT:
            raise
        found = {"problem": f"Python cannot read the code: {error.feedback}: hand in the assignment only"}
    if "problem" in found:
        return replace(submission, unread=(), problem=printable(found["problem"], "_"))
    cells = tuple((line, number) for line, number in found["cells"])
    return replace(submission, unread=(), source=found["text"], filename=printable(found["filename"], "_"), cells=cells)


def taken_apart(topic: Topic, source: str, sandbox: Sandbox) -> Graft:
    """Return the graft of a submission's source.

    Raises:
        StudentError: it cannot be made: Python's compiler refuses the source, or it takes too long.
    """
    given = given_code(topic.solution, topic.exercises)
    try:
        kept, changed = _asked(sandbox, "take_apart", source=source, given=given, exercises=list(topic.exercises))
    except StudentError as error:
        if error.verdict == Verdict.GRADER_FAULT:
            raise
        raise StudentError(error.verdict, f"the file cannot be prepared for training: {error.feedback}") from error
    return Graft(given, topic.exercises, kept, tuple(changed))


def _asked(sandbox: Sandbox, operation: str, **fields: object) -> Any:
    with _lock:
        if sandbox.reader is None:
            sandbox.reader = Sandboxed(sandbox, LIMITS)
        if not sandbox.reader.alive:
            sandbox.reader.open()
        return sandbox.reader.request(operation, **fields)
