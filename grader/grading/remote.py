"""A submission in a worker of the sandbox, as the checks see it: deadlines, deaths and their reasons."""

import math
import signal
import time
from typing import Any

from grader.contract.student import FORGED, Student, StudentError
from grader.grading.sandbox import STARTUP_SECONDS, Exit, Sandbox, SandboxUnavailable, Worker
from grader.inside.isolation import waited_of
from grader.inside.limits import Limits
from grader.inside.protocol import Channel, Deadline, Disconnected, MalformedFrame, Overdue, decode, encode

__all__ = ["Allowance", "Sandboxed"]

UNMEASURED_SECONDS = 1.0  # at the start of a request, in which nobody asks what it used: nearly all end before
BETWEEN_MEASUREMENTS = 0.25
BACKSTOP = 10  # times its seconds on the wall clock, and a request ends, whoever had the processor
GRADER = "thread-self"


class Allowance:
    """Seconds of its own that a submission may spend, in any number of workers; a part of a larger allowance spends that too."""

    def __init__(self, seconds: float = math.inf, within: "Allowance | None" = None):
        self._left, self._within = seconds, within

    @property
    def left(self) -> float:
        return self._left if self._within is None else min(self._left, self._within.left)

    def spend(self, seconds: float) -> None:
        self._left -= seconds
        if self._within is not None:
            self._within.spend(seconds)


class _Patience(Deadline):
    """Waits until a request has used its own seconds: those on the wall clock in which neither it nor the grader waited for a processor.

    So a busy machine fails nobody, while sleeping counts. Where the system does not tell who waited, it is processor time that counts.
    """

    def __init__(self, worker: Worker, seconds: float):
        self._worker, self._seconds, self._start = worker, seconds, time.monotonic()
        self._backstop = self._start + BACKSTOP * seconds
        self._spent = 0.0
        self._measured: tuple[float, float, float | None, float | None] | None = None  # when; processor, waited, the grader waited
        super().__init__(self._start + min(UNMEASURED_SECONDS, seconds / 2))

    def passed(self) -> None:
        self._measure()
        now = time.monotonic()
        if self._spent >= self._seconds or now >= self._backstop:
            raise Overdue("it used up its seconds")
        self.at = min(self._backstop, now + max(BETWEEN_MEASUREMENTS, self._seconds - self._spent))

    def spent(self) -> float:
        """Return the seconds that the request used so far."""
        if self._measured is None:
            return time.monotonic() - self._start
        self._measure()
        return self._spent

    def _measure(self) -> None:
        now = time.monotonic()
        try:
            cpu, waited = self._worker.used()
        except OSError:
            cpu, waited = 0.0, 0.0
        grader = waited_of(GRADER)
        if self._measured is None:
            self._spent = now - self._start
        else:
            then, cpu_then, waited_then, grader_then = self._measured
            used = max(0.0, cpu - cpu_then)
            if waited is not None and waited_then is not None and grader is not None and grader_then is not None:
                used = max(used, (now - then) - max(0.0, waited - waited_then) - (grader - grader_then))
            self._spent += used
        self._measured = (now, cpu, waited, grader)


class Sandboxed(Student):
    """Untrusted code in a worker of a sandbox. Once the worker is dead, every request fails with the reason of its death."""

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None, allowance: Allowance | None = None):
        """Args: allowance: for all requests together: a submission may take a little too long in each."""
        super().__init__(limits)
        self._sandbox, self._allowance = sandbox, allowance or Allowance()
        self._worker: Worker | None = None
        self._death: StudentError | None = None

    def __enter__(self) -> "Sandboxed":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether there is a worker, in which what was loaded still is."""
        return self._worker is not None

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def load(self, source: str, name: str, filename: str, prerequisites: dict[str, str] | None = None) -> None:
        """Run a submission's source as the module `name` in a fresh worker.

        Raises:
            StudentError: it does not run.
        """
        self.open()
        self.request("load", name=name, source=source, filename=filename, prerequisites=prerequisites or {})

    def open(self) -> None:
        """Start a fresh worker, in which nothing is loaded.

        Raises:
            StudentError: the grader cannot.
        """
        self.close()
        self._death = None
        try:
            self._worker = self._sandbox.worker(self.limits)
        except SandboxUnavailable as error:
            raise self._died("grader_fault", "the sandbox does not start any more") from error
        try:
            greeting = decode(self._worker.channel.receive(time.monotonic() + STARTUP_SECONDS))
        except (Overdue, Disconnected, MalformedFrame) as error:
            raise self._died("grader_fault", "the sandbox could not start a worker") from error
        if greeting != {"ready": True}:
            raise self._died("grader_fault", "the sandbox started something else")

    def exchange(self, frame: bytes) -> Any:
        """Return the decoded answer to a request, serving callbacks until the deadline.

        Raises:
            StudentError: the worker did not answer properly; it is dead now.
        """
        worker = self._worker
        if worker is None:
            raise self._death or RuntimeError("nothing is loaded")
        patience = _Patience(worker, max(0.0, min(self.limits.seconds, self._allowance.left)))
        try:
            return self._conversation(worker.channel, frame, patience)
        except Overdue:
            late = self._allowance.left < self.limits.seconds
            reason = "all its calls together took too long" if late else f"it did not finish within {self.limits.seconds:g} seconds"
            raise self._died("timeout", reason) from None
        except MalformedFrame:
            raise self._died("violation", FORGED) from None
        except Disconnected:
            raise self._died(*self._reason(worker)) from None
        except BaseException:
            self.close()
            raise
        finally:
            self._allowance.spend(patience.spent())

    def _conversation(self, channel: Channel, frame: bytes, deadline: Deadline) -> Any:
        """Send a request, serve callbacks, return the decoded answer."""
        channel.expect_silence()
        channel.send(frame, deadline)
        received = 0
        while True:
            content = channel.receive(deadline)
            received += len(content)
            if received > self.limits.received:
                raise MalformedFrame(f"more than {self.limits.received} bytes")
            if len(content) > self.limits.answer:
                raise self._died("wrong", f"it gave a value of {len(content)} bytes, which is too large")
            message = decode(content)
            if type(message) is not dict or "call" not in message:
                return message
            channel.send(encode(self.called_back(message["call"], message.get("arguments"))), deadline)

    def _died(self, verdict: str, feedback: str) -> StudentError:
        self.close()
        self._death = death = StudentError(verdict, feedback)
        return death

    def _reason(self, worker: Worker) -> tuple[str, str]:
        """Return the verdict on a worker that closed the channel, and the sentence about it."""
        try:
            end = worker.ended(1.0)
        except OSError:
            return "grader_fault", "the sandbox died while the submission ran"
        return ("crashed", "it closed its connection to the grader") if end is None else reason_of(end, self.limits)


def reason_of(end: Exit, limits: Limits) -> tuple[str, str]:
    """Return the verdict on a worker that ended although nobody asked it to, and the sentence about it."""
    if end.overdone == "memory":
        return "memory", "it needs more memory than it is allowed"
    if end.overdone == "threads":
        return "violation", f"it had more than {limits.threads} threads, which is not allowed while grading"
    if end.code == -signal.SIGSYS:
        return "violation", "it made a system call of another architecture, which is not allowed while grading"
    if end.code >= 0:
        return "crashed", f"it ended its own process (exit code {end.code})"
    if -end.code in (signal.SIGXCPU, signal.SIGKILL) and end.cpu_seconds > limits.cpu_seconds - 1:
        return "timeout", f"it used more than {limits.cpu_seconds:g} seconds of processor time"
    if -end.code == signal.SIGKILL:
        return "memory", "the system killed it, most likely because memory ran out"
    return "crashed", f"it crashed the Python interpreter ({signal.strsignal(-end.code)})"
