"""Grades submissions, several at a time, in processes of their own: a process of the grader that dies takes nothing else with it."""

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context, parent_process
from typing import TypeVar

import torch

from grader.contract.registry import load
from grader.grading.grade import fault, grade
from grader.grading.sandbox import Sandbox, SandboxUnavailable, open_sandbox
from grader.records import Options, Result, Submission

__all__ = ["graded", "graded_alone", "spread"]

T = TypeVar("T")
LOOK_AGAIN = 5.0  # seconds, after which there may be room for more


def graded(submissions: Iterable[Submission], jobs: int, options: Options, started: Callable[[Submission], None]) -> Iterator[Result]:
    """Yield the results as they come.

    Args:
        submissions: taken one by one, when there is a process for the next: their files are large.
        jobs: submissions graded at a time.
        started: told when the grading of a submission begins.

    Raises:
        SandboxUnavailable: this machine cannot have the sandbox.
    """
    torch.set_num_threads(1)
    if jobs > 1:
        yield from _graded_in_pool(submissions, jobs, options, started)
        return
    with open_sandbox(options.sandbox) as sandbox:
        for submission in submissions:
            started(submission)
            yield graded_alone(submission, sandbox, options)


def _graded_in_pool(
    submissions: Iterable[Submission], jobs: int, options: Options, started: Callable[[Submission], None]
) -> Iterator[Result]:
    lost: list[Submission] = []
    with _pool(jobs, options) as pool:

        def submit(submission: Submission) -> Future[Result]:
            return pool.submit(_in_pool, submission, options)

        for submission, result in spread(submissions, submit, lambda: jobs, started, BrokenProcessPool):
            if result is None:
                lost.append(submission)
            else:
                yield result
    for submission in lost:
        with _pool(1, options) as pool:
            try:
                yield pool.submit(_in_pool, submission, options).result()
            except BrokenProcessPool:
                yield fault(load(submission.topic), submission, options, "a process of the grader died twice on this submission")


def spread(
    submissions: Iterable[Submission],
    submit: Callable[[Submission], Future[T]],
    room: Callable[[], int],
    started: Callable[[Submission], None],
    died: type[Exception],
) -> Iterator[tuple[Submission, T | None]]:
    """Yield each submission with what its task gave, as they end, None where the process of the task died.

    Args:
        submit: hands a submission to an executor.
        room: how many tasks the executor can work on now; asked whenever one ends.
        started: told when a submission was handed over.
        died: what the executor raises where a process died.
    """
    waiting = iter(submissions)
    running: dict[Future[T], Submission] = {}
    while True:
        batch = list(itertools.islice(waiting, max(0, max(1, room()) - len(running))))
        if not batch and not running:
            return
        for submission in batch:
            started(submission)
            try:
                running[submit(submission)] = submission
            except died:
                yield submission, None
        for future in wait(running, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED).done:
            submission = running.pop(future)
            try:
                yield submission, future.result()
            except died:
                yield submission, None


def graded_alone(submission: Submission, sandbox: Sandbox, options: Options) -> Result:
    """Return the result of one submission; whatever fails here is a fault of the grader in it."""
    topic = load(submission.topic)
    try:
        return grade(topic, submission, sandbox, options)
    except Exception as error:  # a class must be graded tonight, whatever is broken here
        return fault(topic, submission, options, f"{type(error).__name__}: {error}")


_sandbox: Sandbox | SandboxUnavailable  # of this process of the pool; the sandbox is open as long as the process lives


def _pool(jobs: int, options: Options) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, get_context("spawn"), _enter_pool, (options.sandbox,))


def _end_with_parent() -> None:
    """End this process when its parent does, even by a kill: waiting for work alone, it would never notice."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _enter_pool(kind: str) -> None:
    global _sandbox
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        _sandbox = ExitStack().enter_context(open_sandbox(kind))
    except SandboxUnavailable as error:  # raised with the first submission, since an initializer cannot say why it failed
        _sandbox = error


def _in_pool(submission: Submission, options: Options) -> Result:
    if isinstance(_sandbox, SandboxUnavailable):
        raise _sandbox
    return graded_alone(submission, _sandbox, options)
