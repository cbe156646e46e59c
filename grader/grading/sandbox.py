"""Workers for untrusted code, forked from a preloaded parent that lies in a sandbox of its own.

with open_sandbox("bwrap") as sandbox, Sandboxed(sandbox) as student:
    student.load(source, "ppo", "ppo.py")
"""

import contextlib
import dataclasses
import fcntl
import functools
import importlib.util
import inspect
import itertools
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import grader
import npfl139
from grader.contract import registry
from grader.contract.sources import checkout
from grader.inside.isolation import DEVICES
from grader.inside.limits import Limits
from grader.records import SANDBOXES

__all__ = ["Exit", "Sandbox", "SandboxUnavailable", "Worker", "open_sandbox"]

STARTUP_SECONDS = 120.0  # of the preloaded parent, on a machine that is busy and has to read torch from a slow disk
GOODBYE_SECONDS = 10.0
VISIBLE = ("__init__.py", "inside")  # of this package: what workers need
SHARED = ("solutions", "assignments", "lectures")  # folders to which every distribution that brings a topic may add
SYSTEM = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib", "/etc/ld.so.cache", "/etc/alternatives")
PROCESSORS = "/sys/devices/system/cpu"  # torch asks it which instructions there are
PROJECT, OURS, FOR_WORKERS = (
    "deep-rl-unit",
    ("grader", "npfl139", "solutions", "assignments", "lectures", "deep_rl_unit"),
    ("msgpack", "jupytext"),
)
PASSED_ON = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
INSIDE = "/grader"
SCRATCH, FRESH_SECONDS = "npfl139-worker-", 10.0
START = (
    "import sys; sys.path[:] = [{path!r}, *sys.path, *{places!r}]; from grader.inside.zygote import main; "
    "main({control}, {own_namespaces}, *{files!r})"
)


class SandboxUnavailable(RuntimeError):
    """The sandbox cannot be opened on this machine. The message says what to do."""


@dataclasses.dataclass(frozen=True)
class Exit:
    """How a worker ended: its exit code, or minus the number of the signal, and the CPU seconds that it used."""

    code: int
    cpu_seconds: float
    overdone: str | None = None  # of what it had so much that it was killed: "threads" or "memory"


def open_sandbox(kind: str = "bwrap") -> "Sandbox":
    """Return a sandbox, to be used in a `with` statement, in a thread that lives as long as the sandbox.

    Args:
        kind: "bwrap" (namespaces, a private view of the files, no network) or "process" (limits and, on Linux, a filter of system
            calls; the submission can read and change the files that the grader can, unless the kernel has Landlock).

    Raises:
        ValueError: there is no such kind.
        SandboxUnavailable: on entering, when this machine cannot have it.
    """
    if kind not in SANDBOXES:
        raise ValueError(f"the sandbox must be one of {', '.join(SANDBOXES)}, got {kind!r}")
    return Sandbox(kind)


class Sandbox:
    """A preloaded parent process and its workers. It may be used by several threads."""

    def __init__(self, kind: str):
        self.kind = kind
        self._lock = threading.RLock()
        self._zygote: _Zygote  # once it is entered
        self._names = itertools.count()
        self.reader: Any = None  # see grader.grading.reading

    def __enter__(self) -> "Sandbox":
        self._zygote = _Zygote(self.kind)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self.reader is not None:
                self.reader.close()
            self._zygote.close()

    def worker(self, limits: Limits | None = None) -> "Worker":
        """Return a fresh worker. If the parent of the workers has died, another one is started, once.

        Raises:
            SandboxUnavailable: no worker can be started.
        """
        with self._lock:
            restarted = False
            while True:
                try:
                    return Worker(self._zygote, next(self._names), limits or Limits())
                except OSError as error:
                    self._zygote.close()
                    if restarted:
                        raise SandboxUnavailable("the sandbox died twice while it started a worker") from error
                    self._zygote, restarted = _Zygote(self.kind), True


class Worker:
    """A process that will run one submission, and the channel to it."""

    def __init__(self, zygote: "_Zygote", name: int, limits: Limits):
        from grader.inside.protocol import Channel  # it imports torch, and nothing else of the grader's side of a sandbox does

        self.limits, self._zygote, self._name = limits, zygote, name
        self._socket, theirs = socket.socketpair()
        self.channel = Channel(self._socket.fileno())
        self.exit: Exit | None = None
        with theirs:
            try:
                zygote.send({"spawn": name, "limits": dataclasses.asdict(limits)}, theirs.fileno())
            except OSError:
                self._socket.close()
                raise

    def ended(self, patience: float = 0.0) -> Exit | None:
        """Return how the worker ended, None if after `patience` seconds it is still alive.

        Raises:
            OSError: nobody knows, because the parent of the workers has died.
        """
        self.exit = self.exit or self._zygote.exit_of(self._name, time.monotonic() + patience)
        return self.exit

    def used(self) -> tuple[float, float | None]:
        """Return the processor seconds that the worker used, and those for which it had to wait, None where the system does not say.

        Raises:
            OSError: nobody knows, because the parent of the workers has died.
        """
        return self._zygote.used_by(self._name, time.monotonic() + GOODBYE_SECONDS)

    def close(self) -> None:
        """Kill the worker if it still runs, and wait until it is gone."""
        if self._socket.fileno() < 0:
            return
        try:
            if not self.ended():
                self._zygote.send({"kill": self._name})
                self.ended(GOODBYE_SECONDS)
        except OSError:
            pass  # the parent has died, and the worker with it
        finally:
            self._socket.close()


class _Zygote:
    """The grader's side of the parent of the workers."""

    def __init__(self, kind: str):
        self._exits: dict[int, Exit] = {}
        self._buffer, self._lock = b"", threading.RLock()
        program = shutil.which("bwrap") if kind == "bwrap" else None
        if kind == "bwrap" and program is None:
            raise SandboxUnavailable(_advice(kind, "there is no program bwrap"))
        self._complaints = tempfile.TemporaryFile()
        self._folder = _Scratch()
        self._control, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    _plain_command(theirs.fileno()) if program is None else _bwrap_command(program, theirs.fileno()),
                    pass_fds=[theirs.fileno()], env=_environment(self._folder.path), cwd=self._folder.path, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._complaints,
                )  # fmt: skip
        except OSError as error:
            self._release()
            raise SandboxUnavailable(_advice(kind, f"its program cannot be started ({error.strerror})")) from error
        try:
            isolated = self._message(time.monotonic() + STARTUP_SECONDS)["isolated"]
        except OSError:
            isolated = False
        if not isolated:
            self.close()
            raise SandboxUnavailable(_advice(kind, self.complaint))
        self._await_packages()

    def _await_packages(self) -> None:
        """Wait until everything that submissions use is imported."""
        try:
            message = self._message(time.monotonic() + STARTUP_SECONDS)
        except OSError:
            message = {"ready": False}
        if not message["ready"]:
            self.close()
            raise SandboxUnavailable(
                f"the sandbox cannot import what submissions need: {message.get('missing', self.complaint)}. It sees the packages that "
                "are installed beside torch and npfl139, or where Python's path leads: install what is missing there too"
            )

    def send(self, message: dict, descriptor: int | None = None) -> None:
        with self._lock:
            line = json.dumps(message).encode() + b"\n"
            self._control.settimeout(GOODBYE_SECONDS + STARTUP_SECONDS)
            socket.send_fds(self._control, [line], [] if descriptor is None else [descriptor])

    def exit_of(self, name: int, deadline: float) -> Exit | None:
        """Return how the named worker ended, None if it has not by the deadline."""
        with self._lock:
            while name not in self._exits:
                try:
                    message = self._message(deadline)
                except TimeoutError:
                    return None
                if "exited" in message:
                    self._keep_exit(message)
            return self._exits.pop(name)

    def used_by(self, name: int, deadline: float) -> tuple[float, float | None]:
        """Return the processor seconds that the named worker used, and those for which it waited for a processor, if that is known."""
        with self._lock:
            self.send({"used": name})
            while True:
                message = self._message(deadline)
                if "exited" in message:
                    self._keep_exit(message)
                elif message.get("used") == name:
                    return message["cpu"], message["waited"]

    def _keep_exit(self, message: dict) -> None:
        self._exits[message["exited"]] = Exit(message["code"], message["cpu"], message["overdone"])

    def close(self) -> None:
        """End the parent and with it all workers."""
        self._control.close()
        try:
            self._process.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._complaints.closed:
            self.complaint = self._last_complaint()
            self._release()

    def _release(self) -> None:
        self._control.close()
        self._complaints.close()
        self._folder.remove()

    def _message(self, deadline: float) -> dict:
        while b"\n" not in self._buffer:
            self._control.settimeout(max(0.0, deadline - time.monotonic()))
            try:
                content = self._control.recv(65536)
            except BlockingIOError as error:  # what a socket says when its timeout is 0
                raise TimeoutError from error
            if not content:
                raise ConnectionError("the parent of the workers has died")
            self._buffer += content
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def _last_complaint(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it gave no reason"


class _Scratch:
    """A folder for workers that cannot have a /tmp of their own, locked while its owner lives, whom a kill may keep from removing it."""

    def __init__(self) -> None:
        _remove_abandoned()
        self.path = tempfile.mkdtemp(prefix=SCRATCH)
        self._lock = _locked(self.path)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_abandoned() -> None:
    """Remove the folders whose owners, other graders of this user, were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if not ours or time.time() - status.st_ctime < FRESH_SECONDS:  # perhaps it is just being locked
                continue
            lock = _locked(str(path))
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _locked(folder: str) -> int | None:
    """Return a descriptor that keeps the folder locked, None where another process has locked it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _environment(home: str) -> dict[str, str]:
    """Return the environment variables of the sandbox: nothing of the grader's but the choice of instructions."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    homes = dict.fromkeys(("HOME", "MPLCONFIGDIR", "TMPDIR"), home)
    return {"LANG": "C.UTF-8", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"} | homes | single | kept


def _python(path: str, control: int, own_namespaces: bool, files: tuple[list[str], list[str]] = ([], [])) -> list[str]:
    # -P and no -I: the latter would ignore PYTHONHASHSEED.
    places = [str(place) for place in _places()]
    start = START.format(path=path, places=places, control=control, own_namespaces=own_namespaces, files=files)
    return [sys.executable, "-s", "-P", "-B", "-c", start]


def _plain_command(control: int) -> list[str]:
    shown = _python_roots() | {Path(path) for path in (*SYSTEM, PROCESSORS)} | {_home(npfl139), *(_home(grader) / name for name in VISIBLE)}
    files = sorted(map(str, shown)), sorted(map(str, _secret_roots()))
    return _python(str(_home(grader).parent), control, own_namespaces=False, files=files)


def _bwrap_command(program: str, control: int) -> list[str]:
    shown = _python_roots()
    scratch = "/scratch" if any(Path("/tmp") in path.parents for path in shown) else "/tmp"  # each worker covers it with its own
    options = [program, "--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
    options += ["--cap-add", "CAP_SYS_ADMIN"]  # in its own user namespace, so that the parent can make further ones; workers drop it
    for name, value in _environment(scratch).items():
        options += ["--setenv", name, value]
    options += ["--proc", "/proc", "--tmpfs", scratch]
    for device in DEVICES:
        options += ["--dev-bind", device, device]
    options += _view(shown, _secret_roots()) + ["--ro-bind-try", PROCESSORS, PROCESSORS]
    for name in VISIBLE:
        options += ["--ro-bind", str(_home(grader) / name), f"{INSIDE}/grader/{name}"]
    options += ["--ro-bind", str(_home(npfl139)), f"{INSIDE}/npfl139", "--remount-ro", "/", "--chdir", scratch]
    return [*options, "--", *_python(INSIDE, control, own_namespaces=True)]


def _view(shown: set[Path], hidden: set[Path]) -> list[str]:
    """Return bwrap's options that show the system's libraries and `shown` and hide `hidden`; of nested paths the innermost decides."""
    links = [option for path in SYSTEM if os.path.islink(path) for option in ("--symlink", os.readlink(path), path)]
    shown = shown | {Path(path) for path in SYSTEM if os.path.exists(path) and not os.path.islink(path)}
    mounts, seals = [], []
    for path in sorted(shown | hidden, key=lambda path: (len(path.parts), path)):
        innermost = max((other for other in shown | hidden if other in path.parents), key=lambda other: len(other.parts), default=None)
        if path in hidden and innermost in shown:
            mounts += ["--tmpfs", str(path)]
            seals += ["--remount-ro", str(path)]
        elif path in shown and innermost not in shown:
            mounts += ["--ro-bind", str(path), str(path)]
    return links + mounts + seals


def _python_roots() -> set[Path]:
    """Return the directories that hold the interpreter and the packages that it can import."""
    packages = [str(place) for place in _places()]
    programs = [os.path.dirname(sys.executable), os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))]
    return {Path(path) for path in [sys.prefix, sys.base_prefix, sys.exec_prefix, *packages, *programs] if os.path.isdir(path)}


def _places() -> list[Path]:
    """Return the folders that packages are imported from, in the order of Python's path.

    That is where packages are installed, wherever it is, and what else is on the path because of a variable, a .pth file or an editable
    installation, if something that we need is there. Nothing of ours is there, since nobody hands in what grades him.
    """
    installed = [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages")) and os.path.isdir(path)]
    needed = {place for place in map(_place_of, _required()) if place is not None}
    needed -= {place.resolve() for place in installed}
    on_path = [Path(path) for path in sys.path if path and Path(path).resolve() in needed]
    elsewhere = on_path + sorted(needed - {place.resolve() for place in on_path})
    return installed + [place for place in elsewhere if not _is_within(place.resolve(), _secret_roots())]


def _is_within(place: Path, roots: set[Path]) -> bool:
    return any(root == place or root in place.parents for root in roots)


def _place_of(package: str) -> Path | None:
    """Return the folder on Python's path in which a package or module lies, None where it has none."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not os.path.isfile(spec.origin):
        return None
    return Path(spec.origin).resolve().parents[1 if spec.submodule_search_locations else 0]


@functools.cache
def _required() -> tuple[str, ...]:
    """Return the top-level modules of all distributions that the library needs, directly or through others, and of what workers need."""
    found: dict[str, Distribution] = {}
    waiting = [PROJECT, *FOR_WORKERS]
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(PackageNotFoundError):
            if name not in found:
                found[name] = distribution(name)
                waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in found[name].requires or () if "extra ==" not in line]
    modules = {Path(str(file)).parts[0] for one in found.values() for file in one.files or ()} | {"torch", "numpy", *FOR_WORKERS}
    return tuple(sorted(name for name in {module.removesuffix(".py") for module in modules} if name.isidentifier() and name not in OURS))


def _secret_roots() -> set[Path]:
    """Return the directories that workers must not see: of ours, and of every distribution that brings a topic.

    Whether it is a checkout, of which nothing is shown, or installed among other packages, of which what belongs to it is hidden.
    """
    root = _home(grader).parent
    ours = {root} if checkout(root) == root else {root / name for name in ("grader", "npfl139")}
    shared = {Path(path).resolve() / name for path in sys.path for name in SHARED}
    topics = set().union(*map(_roots_of_topic, registry.available()))
    return {path for path in ours | shared | topics if path.is_dir()}


def _roots_of_topic(name: str) -> set[Path]:
    """Return the directories of the distribution that brings a topic."""
    package = registry.folder(name).resolve()
    project = checkout(package)
    if project is not None:
        return {project}
    top = package.parents[registry.package(name).count(".")] / registry.package(name).partition(".")[0]
    recorded = registry.distribution(name)
    files = [Path(str(file)).parts for file in recorded.files or ()] if recorded else []
    return {top} | {top.parent / parts[0] for parts in files if len(parts) > 1 and not parts[0].endswith(("..", ".dist-info"))}


def _home(package: ModuleType) -> Path:
    return Path(inspect.getfile(package)).resolve().parent


def _advice(kind: str, reason: str) -> str:
    if kind == "process":
        return f"the worker process cannot be started: {reason}"
    return (
        f"the bubblewrap sandbox cannot be opened: {reason}. "
        "Install it (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap), and allow user namespaces "
        "(Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a container: run it privileged or on the host). "
        "Where that is impossible, --sandbox process is a weaker fallback, for submissions that you trust"
    )
