"""Grades submissions on the machines of a Dask cluster. What comes back from where they ran is JSON, and nothing of it is unpickled."""

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import torch
from distributed import Client, KilledWorker, get_worker

from grader.classroom.engines import graded_alone, spread
from grader.contract.registry import load
from grader.grading.grade import fault
from grader.grading.provenance import basis_of
from grader.grading.sandbox import Sandbox, SandboxUnavailable, open_sandbox
from grader.records import Basis, Options, Record, Result, Submission

__all__ = ["ClusterError", "graded"]

PATIENCE = 60  # seconds in which there has to be a worker
WORKER = "worker --nthreads 1 --death-timeout 60"  # without the last, one may wait for ever for a scheduler, and not obey a signal


class ClusterError(Exception):
    """The cluster cannot grade; the message tells the instructor what to do. Results that were yielded stand."""


class Task(Record, frozen=True):
    """What a worker is told."""

    submission: Submission
    options: Options
    basis: Basis  # as it is where the class was begun
    cpu_capability: str  # of the first worker


class Answer(Record, frozen=True):
    """What a worker says: a result, or why it gives none."""

    result: Result | None = None
    refused: str | None = None


class Sealed:
    """Bytes that no log and no dashboard shows, since the secret seed is in them."""

    def __init__(self, content: bytes):
        self.content = content

    def __repr__(self) -> str:
        return "<a submission>"


def graded(
    address: str, submissions: Iterable[Submission], jobs: int, options: Options, started: Callable[[Submission], None]
) -> Iterator[Result]:
    """Yield the results as they come, graded as by `grader.classroom.engines.graded`.

    Workers may come and go meanwhile; what one was grading when it died is graded by another.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`.
        submissions: taken one by one, when there is a worker for the next.
        jobs: of no meaning here: a worker grades one submission at a time.
        started: told when a submission goes to a worker.

    Raises:
        ClusterError: there is no scheduler or no worker, or not any more, or a worker fails, or would grade otherwise than this machine or
            the first worker.
    """
    try:
        client: Any = Client(address, set_as_default=False)  # type: ignore[no-untyped-call]  # Dask has few types
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: start one with `dask scheduler`, or correct --address") from error
    for name in ("distributed", "distributed.client"):  # what is wrong is told in a sentence
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with client:
        cpu_capability = _expect_alike(client, address)
        executor = client.get_executor(pure=False)
        lost = f"the scheduler at {address} was lost: start it and grade again, nothing graded is lost"
        seen = time.monotonic()

        def submit(submission: Submission) -> Future[bytes]:
            task = Task(submission, options, basis_of(submission, options), cpu_capability)
            with _told(lost):
                return _answered(executor.submit(_work, Sealed(msgspec.json.encode(task))), lost)

        def room() -> int:
            nonlocal seen
            with _told(lost):
                workers = len(client.nthreads())
            now = time.monotonic()
            seen = now if workers else seen
            if now - seen > PATIENCE:
                raise ClusterError(f"{address} has no workers any more: start some and grade again, nothing graded is lost")
            return workers

        for submission, answered in spread(submissions, submit, room, started, KilledWorker):
            yield _result(submission, answered, options)


@contextmanager
def _told(lost: str) -> Iterator[None]:
    """Tell in a sentence that the scheduler does not answer."""
    try:
        yield
    except (OSError, RuntimeError, CancelledError) as error:  # whatever Dask was about when the connection broke
        raise ClusterError(lost) from error


def _answered(future: "Future[bytes]", lost: str) -> "Future[bytes]":
    """Return a future of the same answer, whose errors are sentences; that all workers died on it is what it was."""
    told: Future[bytes] = Future()

    def done(ended: "Future[bytes]") -> None:
        try:
            told.set_result(ended.result())
        except KilledWorker as error:
            told.set_exception(error)
        except CancelledError:
            told.set_exception(ClusterError(lost))
        except Exception as error:  # a worker could not even begin, or end
            told.set_exception(ClusterError(f"a worker failed with {type(error).__name__}: {error}; make it alike, and grade again"))

    future.add_done_callback(done)
    return told


def _result(submission: Submission, answered: bytes | None, options: Options) -> Result:
    if answered is None:
        return fault(load(submission.topic), submission, options, "the workers died, one after the other, on this submission")
    answer = msgspec.json.decode(answered, type=Answer)
    if answer.result is None:
        raise ClusterError(answer.refused or "a worker gave neither a result nor a reason")
    return answer.result


def _expect_alike(client: Any, address: str) -> str:
    """Return the instruction set of the workers, of which there is at least one.

    Raises:
        ClusterError: they are not alike, lack this package, or grade in several threads.
    """
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        told: dict[str, str] = client.run(_cpu_capability)
    except TimeoutError as error:
        raise ClusterError(f"the scheduler at {address} has no workers: start some with `dask {WORKER} {address}`") from error
    except Exception as error:  # whatever a worker without this package, or with another Python, fails at
        raise ClusterError(f"a worker of {address} cannot grade: {type(error).__name__}: {error}; install this package there") from error
    for worker, threads in client.nthreads().items():
        if threads != 1:
            raise ClusterError(f"the worker {worker} has {threads} threads, where one submission is graded at a time: use --nthreads 1")
    first = min(told)
    for worker, capability in told.items():
        if capability != told[first]:
            raise ClusterError(_other("instruction set", worker, capability, told[first]))
    return told[first]


def _other(what: str, worker: str, own: str, expected: str) -> str:
    return f"the worker {worker} has another {what} than this class was begun with: {own}, not {expected}; make it alike or stop it"


def _cpu_capability() -> str:
    return torch.backends.cpu.get_cpu_capability()


_one_at_a_time = threading.Lock()


@functools.cache
def _sandbox(kind: str) -> Sandbox:
    """Return the sandbox of this worker, which is open as long as the worker lives."""
    torch.set_num_threads(1)
    return ExitStack().enter_context(open_sandbox(kind))


def _work(sealed: Sealed) -> bytes:
    """Grade, on a worker, one submission; return the answer as JSON."""
    task = msgspec.json.decode(sealed.content, type=Task)
    worker: Any = get_worker()
    return msgspec.json.encode(_answer(task, worker.address))


def _answer(task: Task, worker: str) -> Answer:
    own = msgspec.to_builtins(basis_of(task.submission, task.options)) | {"cpu_capability": _cpu_capability()}
    expected = msgspec.to_builtins(task.basis) | {"cpu_capability": task.cpu_capability}
    named = {
        "engine_sha256": "grader, library, or version of torch, numpy or gymnasium",
        "topic_sha256": f"version of the topic {task.submission.topic}",
        "cpu_capability": "instruction set",
    }
    for name, what in named.items():
        if own[name] != expected[name]:
            return Answer(refused=_other(what, worker, own[name][:12], expected[name][:12]))
    try:
        with _one_at_a_time:
            return Answer(graded_alone(task.submission, _sandbox(task.options.sandbox), task.options))
    except SandboxUnavailable as error:
        return Answer(refused=f"the worker {worker} cannot have the sandbox: {error}")
