"""Processes that work on tasks under limits: whatever a task does, a loop in C or a crash included, the others are finished."""

import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

__all__ = ["DIED", "OVERDUE", "TimeUp", "limited", "worked"]

DIED, OVERDUE = "died", "overdue"
MEMORY = 2 * 2**30  # bytes beyond what the process has when it starts
FORK = multiprocessing.get_context("fork")  # so that libraries are imported once


class TimeUp(BaseException):
    """The time of a part of a task is up. No `except Exception` of the code that it interrupts catches it."""


@contextmanager
def limited(seconds: float) -> Iterator[list]:
    """Interrupt what is done within after so much processor time; the list that is yielded is empty unless that happened."""
    interrupted = []

    def interrupt(number: int, frame: object) -> None:
        interrupted.append(number)
        raise TimeUp

    signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)  # again, where it was caught
    try:
        with suppress(TimeUp):
            yield interrupted
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    task: int | None = None
    until: float = float("inf")


def worked(work: Callable[[Any], Any], tasks: Sequence[Any], jobs: int, seconds: float) -> Iterator[tuple[int, Any]]:
    """Yield (index of the task, what `work` returns for it) as they are finished; DIED or OVERDUE where there is no result.

    Args:
        jobs: processes, forked from this one.
        seconds: on the wall clock, after which a process is killed and replaced.

    Raises:
        RuntimeError: `work` raised an exception.
    """
    workers, pending = [_started(work) for _ in range(min(jobs, len(tasks)))], iter(range(len(tasks)))
    try:
        for worker in workers:
            _assign(worker, pending, tasks, seconds)
        while busy := [worker for worker in workers if worker.task is not None]:
            ready = wait([worker.connection for worker in busy], max(0.0, min(worker.until for worker in busy) - time.monotonic()))
            for worker in busy:
                if worker.connection in ready:
                    outcome = _received(worker)
                elif time.monotonic() >= worker.until:
                    outcome = OVERDUE
                else:
                    continue
                index = cast(int, worker.task)  # busy are those that have one
                if outcome in (DIED, OVERDUE):
                    _stop(worker)
                    workers.remove(worker)
                    workers.append(worker := _started(work))
                _assign(worker, pending, tasks, seconds)
                yield index, outcome
    finally:
        for worker in workers:
            _stop(worker)


def _started(work: Callable[[Any], Any]) -> _Worker:
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _assign(worker: _Worker, pending: Iterator[int], tasks: Sequence[Any], seconds: float) -> None:
    worker.task = next(pending, None)
    if worker.task is not None:
        worker.until = time.monotonic() + seconds
        worker.connection.send(tasks[worker.task])


def _received(worker: _Worker) -> object:
    try:
        failed, outcome = worker.connection.recv()
    except (EOFError, OSError):
        return DIED
    if failed:
        raise RuntimeError(outcome)
    return outcome


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Work on what comes over the connection until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt from the keyboard is the parent's to handle
    if sys.platform == "linux":
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                answer = (False, work(task))
            except Exception:
                answer = (True, traceback.format_exc())
            connection.send(answer)
