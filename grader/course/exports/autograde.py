"""What run_autograder runs in Gradescope's container: it grades one submission and writes results.json, whatever happens."""

import argparse
import contextlib
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from npfl139.files import write_atomically
from npfl139.text import one_line

if TYPE_CHECKING:  # so that whatever fails to be imported is told in the result
    from grader.records import Options, Result, Submission

__all__ = ["main"]

STUDENT = "submission"
FAILED = "The grader itself failed, which is not your fault: these points are still open. Tell your instructor."


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade what lies in /autograder/submission; return 0 unless the grader itself failed."""
    parser = argparse.ArgumentParser(prog="autograde", description=__doc__)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--sandbox", choices=("auto", "bwrap", "process"), default="auto")
    parser.add_argument("--limit", type=float)
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("AUTOGRADER", "/autograder")))
    options = parser.parse_args(arguments)
    try:
        results = _results(options)
    except Exception as error:
        print(f"{type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
        results = {"score": 0, "output": FAILED, "visibility": "visible", "stdout_visibility": "hidden", "extra_data": {"fault": True}}
    path = options.root / "results" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return 3 if "fault" in cast(dict[str, object], results.get("extra_data", {})) else 0


def _results(options: argparse.Namespace) -> dict[str, object]:
    from grader.contract.registry import available
    from grader.course.exports.gradescope import results
    from grader.course.exports.plain import mark_of
    from grader.intake.choice import chosen, shown_path
    from grader.intake.parcels import Export, Parcel
    from grader.records import Options, Submission

    topics = available()
    files = Export(options.root / "submission", topics).files  # all of one student, however they are called
    (choice,) = chosen(Parcel(STUDENT, (), STUDENT, files), topics, [options.topic])
    unread = tuple((shown_path(file), file.content.read()) for file in choice.files if file.content)
    submission = Submission(STUDENT, options.topic, None, choice.filename, choice.sha256, choice.problem, unread=unread)
    seed = secrets.randbits(62)  # which nobody can look up, as one in the archive
    settings = Options(seed=seed, training=not options.no_training, limit=options.limit)
    result = _graded(submission, settings, options.sandbox)
    told = results(mark_of(result))
    tests = cast(list[dict[str, object]], told["tests"])
    if result.unsandboxed:
        name = "for instructors: this container allows no sandbox, so that a dishonest submission could have forged its result"
        tests.append({"name": name, "status": "failed", "score": 0, "max_score": 0, "output": "", "visibility": "hidden"})
    if result.is_fault:
        told["output"] = f"{FAILED}\n{told['output']}"
        told["extra_data"] = {"fault": True}
    return told


def _graded(submission: "Submission", options: "Options", sandbox: str) -> "Result":
    """Grade in the sandbox that was asked for, or for "auto" in the strongest that there is."""
    from msgspec.structs import replace

    from grader.classroom.engines import graded
    from grader.grading.sandbox import SandboxUnavailable
    from grader.records import SANDBOXES

    kinds = SANDBOXES if sandbox == "auto" else [kind for kind in SANDBOXES if kind == sandbox]
    for kind in kinds[:-1]:
        with contextlib.suppress(SandboxUnavailable):
            return next(graded([submission], 1, replace(options, sandbox=kind), lambda submission: None))
    return next(graded([submission], 1, replace(options, sandbox=kinds[-1]), lambda submission: None))


if __name__ == "__main__":
    sys.exit(main())
