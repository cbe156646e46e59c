"""Gradescope's results.json, one for each mark: `<out>/<person>/<assignment>.json`.

Source: Gradescope, "Autograder Specifications".
"""

import json

from grader.course.exports.formats import Request, Written, comment, reasons
from grader.course.exports.places import places
from grader.course.exports.tables import save
from grader.course.marks import Mark
from grader.records import Part

__all__ = ["results", "write"]


def write(request: Request) -> Written:
    """Write the results of all who have some.

    Raises:
        ExportError: a file cannot be written.
    """
    found = [mark for mark in request.marks if mark.result is not None and mark.state != "fault"]
    paths = {request.out / f"{place}.json": mark for mark, place in zip(found, places(found), strict=True)}
    for path, mark in paths.items():
        save(path, json.dumps(results(mark), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    without = [mark for mark in request.marks if mark not in found]
    return Written(tuple(paths), tuple(f"{mark.person.name} has no result for {mark.assignment}" for mark in without))


def results(mark: Mark) -> dict[str, object]:
    """Return what Gradescope shows to a student for a mark that has a result: claims, verdicts and hints, never an expected value."""
    assert mark.result is not None
    return {
        "score": round(mark.points, 6),
        "execution_time": round(mark.result.provenance.seconds, 1),
        "output": "\n".join(comment(mark)),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [_test(part, number) for number, part in enumerate(mark.result.parts, 1)],
        "extra_data": {"engine": mark.result.provenance.basis.engine_sha256, "sandbox": mark.result.provenance.basis.sandbox},
    }


def _test(part: Part, number: int) -> dict[str, object]:
    return {
        "name": f"{part.where}: {part.claim}" if part.where != part.name else part.claim,
        "number": str(number),
        "score": round(part.score, 6),
        "max_score": round(part.max_score, 6),
        "status": "passed" if part.passed else "failed",
        "output": "\n".join(reasons(part)),
        "visibility": "visible",
        "tags": [part.where],
    }
