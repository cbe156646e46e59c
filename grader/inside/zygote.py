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
from typing import NoReturn

from grader.inside.isolation import CHANNEL, Limits, confine, die_with, mapped_bytes, namespace_of_children, threads_of

__all__ = ["main"]

WATCH_SECONDS = 0.25  # between two counts of the workers' threads; the system starts some thousand in that time
NOT_FOR_STUDENTS = ("npfl139.cli", "npfl139.terminal")


def main(control_descriptor: int, own_namespaces: bool) -> None:
    """Serve the grader until it closes its end of the control socket."""
    zygote = Zygote(socket.socket(fileno=control_descriptor), own_namespaces)
    if zygote.probe():
        preload()
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

    def __init__(self, control: socket.socket, own_namespaces: bool):
        self.control = control
        self.own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY) if own_namespaces else None
        self.names: dict[int, int] = {}  # process id: the grader's name of the worker
        self.allowed_threads: dict[int, int] = {}  # by the same names
        self.crowded: set[int] = set()
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
        self.mapped = (0, 0)

    def probe(self) -> bool:
        """Tell the grader at once whether a worker can be isolated here, before anything slow."""
        descriptor, mapped = self.control.fileno(), mapped_bytes()
        process = self.fork(lambda: confine(descriptor, Limits(), mapped, self.own_namespace is not None))
        isolated = bool(process) and os.waitpid(process, 0)[1] == 0
        self.tell(isolated=isolated)
        return isolated

    def serve(self) -> None:
        self.mapped = mapped_bytes()
        self.tell(ready=True)
        while True:
            events = [key.fileobj for key, _ in self.selector.select(WATCH_SECONDS if self.names else None)]
            self.end_crowds()
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
            else:
                self.kill(message["kill"])
        return bool(content)

    def spawn(self, name: int, limits: Limits) -> None:
        channel = self.descriptors.pop(0)
        process = self.fork(lambda: self.work(channel, limits))
        os.close(channel)
        if process:
            self.names[process], self.allowed_threads[name] = name, limits.threads
        else:
            self.tell(exited=name, code=1, cpu=0.0, crowded=False)

    def kill(self, name: int) -> None:
        for process, known in self.names.items():
            if known == name:
                os.kill(process, signal.SIGKILL)

    def end_crowds(self) -> None:
        """Kill each worker with more threads than it may have. The system has a limit of its own, but not for root."""
        for process, name in self.names.items():
            if threads_of(process) > self.allowed_threads[name]:
                self.crowded.add(name)
                os.kill(process, signal.SIGKILL)

    def reap(self) -> None:
        while self.names:
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if not process:
                break
            name = self.names.pop(process, None)
            if name is not None:
                cpu = usage.ru_utime + usage.ru_stime
                self.tell(exited=name, code=os.waitstatus_to_exitcode(status), cpu=cpu, crowded=name in self.crowded)

    def work(self, channel: int, limits: Limits) -> None:
        confine(channel, limits, self.mapped, self.own_namespace is not None)
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
