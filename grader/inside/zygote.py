"""The preloaded parent of all workers. It runs in the sandbox, knows no secret, and never runs student code itself.

The grader tells it over a socket, one JSON line each, to fork a worker (passing the worker's channel along) or to kill one;
it tells the grader that it is ready and how workers ended.
"""

import gc
import importlib
import json
import os
import pkgutil
import random
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from grader.inside.isolation import (
    CHANNEL,
    Limits,
    Seen,
    confine,
    die_with,
    mapped_bytes,
    namespace_of_children,
    resident_bytes,
    threads_of,
    used_by,
)
from grader.inside.landlock import parts_shown

__all__ = ["main"]

WATCH_SECONDS = 0.25  # between two looks at the workers' threads and memory; the system starts some thousand threads in that time
MEMORY_SLACK = 2**26  # bytes that libraries read from the disk when they are first used
NOT_FOR_STUDENTS = ("npfl139.cli", "npfl139.terminal")


def main(control_descriptor: int, own_namespaces: bool, shown: list[str], hidden: list[str]) -> None:
    """Serve the grader until it closes its end of the control socket.

    Args:
        shown: files and folders that workers without a view of files of their own may read.
        hidden: folders in these that they may not, unless what is shown lies in them; of nested ones the innermost decides.
    """
    seen = parts_shown({Path(path) for path in shown}, {Path(path) for path in hidden})
    zygote = Zygote(socket.socket(fileno=control_descriptor), own_namespaces, seen)
    if zygote.probe():
        try:
            preload()
        except ImportError as error:
            zygote.tell(ready=False, missing=str(error))
        else:
            zygote.serve()


def preload() -> None:
    """Import what submissions use, and do once what is slow the first time, so that no worker pays for it."""
    import numpy
    import torch
    import torch.distributions

    import npfl139
    from grader.inside import worker  # noqa: F401

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.walk_packages(npfl139.__path__, "npfl139."):
            if module.name not in NOT_FOR_STUDENTS:
                try:
                    importlib.import_module(module.name)
                except ImportError:
                    pass  # an optional dependency is not installed; a submission that needs the module says so itself
        torch.func.vmap(torch.func.grad(torch.sum))(torch.zeros(1, 1))
        torch.func.hessian(torch.sum)(torch.zeros(1))
    torch.set_num_threads(1)
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    optimizer = torch.optim.Adam(layer.parameters())
    torch.distributions.Categorical(logits=layer(torch.zeros(1, 2))).entropy().sum().backward()
    torch.distributions.Normal(torch.zeros(1), torch.ones(1)).log_prob(torch.zeros(1))
    optimizer.step()
    torch.manual_seed(0)
    numpy.random.seed(0)
    random.seed(0)
    gc.collect()
    gc.freeze()


class Zygote:
    """Forks workers, kills them when told to, and reports how they ended."""

    def __init__(self, control: socket.socket, own_namespaces: bool, seen: Seen):
        self.seen = seen
        self.control = control
        self.own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY) if own_namespaces else None
        self.names: dict[int, int] = {}  # process id: the grader's name of the worker
        self.limits: dict[int, Limits] = {}
        self.overdone: dict[int, str] = {}  # why a worker was killed: "threads" or "memory"
        self.buffer = b""
        self.descriptors: list[int] = []
        self.selector = selectors.DefaultSelector()
        self.wakeup, self.wakeup_end = socket.socketpair()
        for end in (self.wakeup, self.wakeup_end):
            end.setblocking(False)
        signal.set_wakeup_fd(self.wakeup_end.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(control, selectors.EVENT_READ)
        self.selector.register(self.wakeup, selectors.EVENT_READ)
        self.mapped, self.resident = (0, 0), 0

    def probe(self) -> bool:
        """Tell the grader at once whether a worker can be isolated here, before anything slow."""
        descriptor, mapped = self.control.fileno(), mapped_bytes()
        process = self.fork(lambda: confine(descriptor, Limits(), mapped, self.own_namespace is not None, self.seen))
        isolated = bool(process) and os.waitpid(process, 0)[1] == 0
        self.tell(isolated=isolated)
        return isolated

    def serve(self) -> None:
        self.mapped, self.resident = mapped_bytes(), resident_bytes(os.getpid())
        self.tell(ready=True)
        while True:
            events = [key.fileobj for key, _ in self.selector.select(WATCH_SECONDS if self.names else None)]
            self.end_excess()
            if self.wakeup in events:
                self.wakeup.recv(4096)
                self.reap()
            if self.control in events and not self.listen():
                break
        for process in self.names:
            os.kill(process, signal.SIGKILL)

    def tell(self, **message: object) -> None:
        self.control.sendall(json.dumps(message).encode() + b"\n")

    def listen(self) -> bool:
        """Obey what the grader says; return False once it has gone."""
        content, descriptors, _, _ = socket.recv_fds(self.control, 65536, 16)
        self.buffer += content
        self.descriptors += descriptors
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "spawn" in message:
                self.spawn(message["spawn"], Limits(**message["limits"]))
            elif "used" in message:
                self.tell_used(message["used"])
            else:
                self.kill(message["kill"])
        return bool(content)

    def spawn(self, name: int, limits: Limits) -> None:
        channel = self.descriptors.pop(0)
        process = self.fork(lambda: self.work(channel, limits))
        os.close(channel)
        if process:
            self.names[process], self.limits[name] = name, limits
        else:
            self.tell(exited=name, code=1, cpu=0.0, overdone=None)

    def kill(self, name: int) -> None:
        for process, known in self.names.items():
            if known == name:
                os.kill(process, signal.SIGKILL)

    def tell_used(self, name: int) -> None:
        """Tell the grader what processor time a worker used, and how long it waited for a processor."""
        process = next((process for process, known in self.names.items() if known == name), 0)
        cpu, waited = used_by(process) if process else (0.0, 0.0)
        self.tell(used=name, cpu=cpu, waited=waited)

    def end_excess(self) -> None:
        """Kill each worker with more threads or memory than it may have.

        The system has a limit on threads of its own, but not for root; and its limits on memory count what is shared as addresses only.
        """
        for process, name in self.names.items():
            limits = self.limits[name]
            if threads_of(process) > limits.threads:
                self.overdone[name] = "threads"
            elif resident_bytes(process) > self.resident + limits.memory + MEMORY_SLACK:
                self.overdone[name] = "memory"
            else:
                continue
            os.kill(process, signal.SIGKILL)

    def reap(self) -> None:
        while self.names:
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if not process:
                break
            name = self.names.pop(process, None)
            if name is not None:
                cpu = usage.ru_utime + usage.ru_stime
                code = os.waitstatus_to_exitcode(status)
                self.tell(exited=name, code=code, cpu=cpu, overdone=self.overdone.pop(name, None))
                del self.limits[name]

    def work(self, channel: int, limits: Limits) -> None:
        confine(channel, limits, self.mapped, self.own_namespace is not None, self.seen)
        from grader.inside.worker import serve

        serve(CHANNEL)

    def fork(self, task: Callable[[], None]) -> int:
        """Fork a process that does the task and ends, in a process namespace of its own if wanted.

        Return its process id, 0 if it cannot be.
        """
        parent = os.getpid()
        try:
            if self.own_namespace is None:
                return os.fork() or self._become(task, parent)
            try:
                namespace_of_children()
                return os.fork() or self._become(task, None)
            finally:
                namespace_of_children(self.own_namespace)
        except OSError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return 0

    def _become(self, task: Callable[[], None], parent: int | None) -> NoReturn:
        code = 127
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for owned in (self.control, self.wakeup, self.wakeup_end):
                owned.detach()  # or else they would close, when they are freed, whatever then has their numbers
            self.selector.close()
            if parent is not None:
                die_with(parent)  # elsewhere the end of the first process of the namespace, the zygote, takes the others along
            task()
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
