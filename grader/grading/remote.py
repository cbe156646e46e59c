"""A submission in a worker of the sandbox, as the checks see it: deadlines, deaths and their reasons."""

import math
import signal
import time
from typing import Any

from grader.contract.student import FORGED, Student, StudentError
from grader.grading.sandbox import STARTUP_SECONDS, Exit, Sandbox, SandboxUnavailable, Worker
from grader.inside.limits import Limits
from grader.inside.protocol import Channel, Disconnected, MalformedFrame, Overdue, decode, encode

__all__ = ["Sandboxed"]


class Sandboxed(Student):
    """Untrusted code in a worker of a sandbox. Once the worker is dead, every request fails with the reason of its death."""

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None, until: float = math.inf):
        """Args: until: on the monotonic clock, when every request runs out of time: a submission may sleep a little in each."""
        super().__init__(limits)
        self._sandbox, self._until = sandbox, until
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
        self.request("load", name=name, source=source, filename=filename, prerequisites=prerequisites or {})

    def exchange(self, frame: bytes) -> Any:
        """Return the decoded answer to a request, serving callbacks until the deadline.

        Raises:
            StudentError: the worker did not answer properly; it is dead now.
        """
        worker = self._worker
        if worker is None:
            raise self._death or RuntimeError("nothing is loaded")
        try:
            return self._conversation(worker.channel, frame, min(time.monotonic() + self.limits.seconds, self._until))
        except Overdue:
            late = time.monotonic() >= self._until
            reason = "all its calls together took too long" if late else f"it did not finish within {self.limits.seconds:g} seconds"
            raise self._died("timeout", reason) from None
        except MalformedFrame:
            raise self._died("violation", FORGED) from None
        except Disconnected:
            raise self._died(*self._reason(worker)) from None
        except BaseException:
            self.close()
            raise

    def _conversation(self, channel: Channel, frame: bytes, deadline: float) -> Any:
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
    if end.crowded:
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
