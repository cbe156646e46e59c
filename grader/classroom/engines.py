"""Grades submissions, several at a time, in processes of their own: a process of the grader that dies takes nothing else with it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context

import torch

from grader.contract.registry import load
from grader.grading.grade import fault, grade
from grader.grading.sandbox import Sandbox, SandboxUnavailable, open_sandbox
from grader.records import Options, Result, Submission

__all__ = ["graded"]


def graded(submissions: Sequence[Submission], jobs: int, options: Options, started: Callable[[Submission], None]) -> Iterator[Result]:
    """Yield the results as they come.

    Args:
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
            yield _result(submission, sandbox, options)


def _graded_in_pool(
    submissions: Sequence[Submission], jobs: int, options: Options, started: Callable[[Submission], None]
) -> Iterator[Result]:
    lost: list[Submission] = []
    with _pool(jobs, options) as pool:
        waiting = list(reversed(submissions))
        running: dict[Future[Result], Submission] = {}
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


def _result(submission: Submission, sandbox: Sandbox, options: Options) -> Result:
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


def _in_pool(submission: Submission, options: Options) -> Result:
    if isinstance(_sandbox, SandboxUnavailable):
        raise _sandbox
    return _result(submission, _sandbox, options)
