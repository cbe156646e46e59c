"""Grades a class: each result on disk as soon as it is known, nothing graded twice. What grades is given to it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from grader.classroom.capacity import jobs_for
from grader.classroom.intake import collect
from grader.classroom.parts import Part
from grader.classroom.reports import write_reports
from grader.classroom.store import Store
from grader.contract.registry import available
from grader.grading.provenance import basis_of
from grader.records import Options, Result, Submission
from grader.show.display import Display
from npfl139.terminal import say

__all__ = ["Engine", "grade_class"]

DEFAULTS = Options()
Engine = Callable[
    [Iterable[Submission], int, Options, Callable[[Submission], None]], Iterator[Result]
]  # as `grader.classroom.engines.graded`


def grade_class(
    paths: Sequence[Path],
    out: Path,
    engine: Engine,
    topic: str | None = None,
    jobs: int | None = None,
    options: Options = DEFAULTS,
    part: Part | None = None,
) -> list[Result]:
    """Grade what lies at the paths, write results and reports, return the results; whatever was graded before is not graded again.

    Args:
        paths: see `grader.classroom.intake.collect`.
        out: the folder of the results; a later call with the same folder resumes.
        engine: grades what is left to grade; where nothing is, it is not called.
        topic: only this one; otherwise the names of the files tell.
        part: grade only these of what lies there; the results of all parts are put together by `grader.classroom.parts.merge`.
        jobs: submissions graded at a time, see `grader.classroom.capacity.jobs_for`.

    Raises:
        NoSubmission: there is nothing to grade; a part may be empty.
        SandboxUnavailable: this machine cannot have the sandbox.
        StoreError: results cannot be written; those written before are intact.
    """
    submissions = [each for each in collect(paths, available(), topic, say) if part is None or part.holds(each.student, each.topic)]
    store = Store(out)
    with store.writing():
        if options.seed is None:
            options = replace(options, seed=store.seed())
        earlier = [store.finished(each.student, each.topic, basis_of(each, options)) for each in submissions]
        pending = [submission for submission, result in zip(submissions, earlier, strict=True) if result is None]
        jobs = jobs_for(len(pending), jobs, say)
        results = [result for result in earlier if result is not None]
        display = Display(len(submissions), jobs)
        with display:
            for result in results:
                display.finished(result)
            if pending:
                for result in engine((each.submission() for each in pending), jobs, options, display.started):
                    store.write(result)
                    results.append(result)
                    display.finished(result)
        order = {(submission.student, submission.topic): index for index, submission in enumerate(submissions)}
        results.sort(key=lambda result: order[result.student, result.topic])
        written = write_reports(store, only_outdated=True)
    display.table(results, written.path, written.failed)
    return results
