"""Grades a class: many submissions, several at a time, each result on disk as soon as it is known."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import torch

from grader.classroom.intake import Submission, collect
from grader.classroom.store import Store
from grader.contract.registry import available, load
from grader.grading.grade import Options, fault, grade, grader_sha256
from grader.grading.sandbox import Sandbox, SandboxUnavailable, open_sandbox
from grader.show.display import Display
from grader.show.report import write_reports

__all__ = ["grade_class"]

DEFAULTS = Options()


def grade_class(
    paths: Sequence[Path], out: Path, topic: str | None = None, jobs: int | None = None, options: Options = DEFAULTS
) -> list[dict]:
    """Grade what lies at the paths, write results and reports, return the results; whatever was graded before is not graded again.

    Args:
        paths: see `grader.classroom.intake.collect`.
        out: the folder of the results; a later call with the same folder resumes.
        topic: only this one; otherwise the names of the files tell.
        jobs: submissions graded at a time, by default as many as there are processors.

    Raises:
        NoSubmission: there is nothing to grade.
        SandboxUnavailable: this machine cannot have the sandbox.
        StoreError: results cannot be written; those written before are intact.
    """
    torch.set_num_threads(1)
    submissions = collect(paths, available(), topic)
    store = Store(out)
    with store.writing():
        if options.seed is None:
            options = replace(options, seed=store.seed())
        earlier = [
            store.finished(submission.student, submission.topic, submission.sha256, grader_sha256(), asdict(options))
            for submission in submissions
        ]
        pending = [submission for submission, result in zip(submissions, earlier, strict=True) if result is None]
        jobs = max(1, min(jobs or os.cpu_count() or 1, len(pending)))
        results = [result for result in earlier if result is not None]
        display = Display(len(submissions), jobs)
        with display:
            for result in results:
                display.finished(result)
            for result in _graded(pending, jobs, options, display.started):
                store.write(result, asdict(options))
                results.append(result)
                display.finished(result)
        order = {(submission.student, submission.topic): index for index, submission in enumerate(submissions)}
        results.sort(key=lambda result: order[result["student"], result["topic"]])
        write_reports(store)
    display.table(results, out)
    return results


def _graded(submissions: Sequence[Submission], jobs: int, options: Options, started: Callable[[Submission], None]) -> Iterator[dict]:
    """Yield the results as they come; a process of the grader that dies takes nothing else with it."""
    if jobs == 1:
        with open_sandbox(options.sandbox) as sandbox:
            for submission in submissions:
                started(submission)
                yield _result(submission, sandbox, options)
        return
    lost = []
    with _pool(jobs, options) as pool:
        waiting, running = list(reversed(submissions)), {}
        while waiting or running:
            while waiting and len(running) < jobs:
                submission = waiting.pop()
                started(submission)
                try:
                    running[pool.submit(_in_pool, submission, options)] = submission
                except BrokenProcessPool:
                    lost.append(submission)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                submission = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    lost.append(submission)
    for submission in lost:
        with _pool(1, options) as pool:
            try:
                yield pool.submit(_in_pool, submission, options).result()
            except BrokenProcessPool:
                yield fault(load(submission.topic), submission, options, "a process of the grader died twice on this submission")


def _result(submission: Submission, sandbox: Sandbox, options: Options) -> dict:
    topic = load(submission.topic)
    try:
        return grade(topic, submission, sandbox, options)
    except Exception as error:  # a class must be graded tonight, whatever is broken here
        return fault(topic, submission, options, f"{type(error).__name__}: {error}")


_sandbox: Sandbox | SandboxUnavailable  # of this process of the pool; the sandbox is open as long as the process lives


def _pool(jobs: int, options: Options) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, get_context("spawn"), _enter_pool, (options.sandbox,))


def _enter_pool(kind: str) -> None:
    global _sandbox
    torch.set_num_threads(1)
    try:
        _sandbox = ExitStack().enter_context(open_sandbox(kind))
    except SandboxUnavailable as error:  # raised with the first submission, since an initializer cannot say why it failed
        _sandbox = error


def _in_pool(submission: Submission, options: Options) -> dict:
    if isinstance(_sandbox, SandboxUnavailable):
        raise _sandbox
    return _result(submission, _sandbox, options)
