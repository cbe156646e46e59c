"""The sandbox itself: what a worker sees, what happens when things die, what is said where it cannot be opened."""

import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from importlib.metadata import PathDistribution
from pathlib import Path

import numpy as np
import pytest
import torch

from grader.contract.student import StudentError
from grader.grading import sandbox as sandbox_module
from grader.grading.remote import Sandboxed
from grader.grading.sandbox import SandboxUnavailable, Worker, open_sandbox
from grader.inside import landlock, seccomp
from grader.inside.limits import Limits

LIMITS = Limits(seconds=20, cpu_seconds=20, memory=256 * 2**20, scratch=2**20)
LINUX = sys.platform == "linux"
needs_linux = pytest.mark.skipif(not LINUX, reason="the system call filter and the limits on memory exist on Linux only")


@pytest.fixture(params=["bwrap", "process"])
def either(request):
    return request.getfixturevalue("sandbox" if request.param == "bwrap" else "weak_sandbox")


def loaded(sandbox, text, limits=LIMITS):
    student = Sandboxed(sandbox, limits)
    student.load(textwrap.dedent(text), "work", "work.py")
    return student


def verdict_of(student, exercise="f"):
    with pytest.raises(StudentError) as caught:
        student.call(exercise)
    return caught.value.verdict


VIEW = """
    import os, sys, threading, torch
    def files(): return sorted(os.listdir("/")), os.listdir(), os.listdir("/proc"), os.getcwd()
    def exists(path): return os.path.exists(path)
    def environment(): return dict(os.environ)
    def identity(): return [os.getpid(), os.getppid(), os.getsid(0)]
    def descriptors():
        found = []
        for descriptor in range(4096):
            try: os.fstat(descriptor); found.append(descriptor)
            except OSError: pass
        return found
    def capability(): return torch.backends.cpu.get_cpu_capability()
    def threaded():
        results = []
        threads = [threading.Thread(target=lambda: results.append(torch.ones(100, 100).sum().item())) for _ in range(4)]
        [thread.start() for thread in threads]; [thread.join() for thread in threads]
        return results
    def draws(): return torch.rand(3)
    def scratch():
        open("mine", "w").write("x")
        return os.listdir()
"""


def test_a_worker_sees_the_python_installation_and_the_library_and_nothing_else_of_ours(sandbox):
    root = Path(sandbox_module.__file__).resolve().parents[2]
    with loaded(sandbox, VIEW) as student:
        top, scratch, processes, folder = student.files()
        assert scratch == processes == [] and folder == ("/scratch" if Path("/tmp") in Path(sys.prefix).parents else "/tmp")
        assert not {"boot", "media", "run", "srv", "sbin"} & set(top)
        for hidden in ("grader", "solutions", "tests", "assignments", "examples", "pyproject.toml", ".git", "npfl139"):
            assert not student.exists(str(root / hidden))
        for shown in (torch.__file__, np.__file__, sys.base_prefix, "/grader/npfl139/seeding.py", "/grader/grader/inside/worker.py"):
            assert student.exists(shown)
        for hidden in ("topics", "grading", "contract", "records.py"):
            assert not student.exists(f"/grader/grader/{hidden}")
        assert student.identity() == [1, 0, 1] and student.descriptors() == [0, 1, 2, 3]
        assert student.capability() == torch.backends.cpu.get_cpu_capability()


def test_workers_get_no_environment_variable_of_the_graders(either, monkeypatch):
    monkeypatch.setenv("GRADER_TOKEN", "secret")
    with loaded(either, VIEW) as student:
        assert not {"GRADER_TOKEN", "USER", "PYTHONPATH", "VIRTUAL_ENV"} & set(student.environment())


def test_threads_work_and_every_worker_draws_the_same_numbers(either):
    with loaded(either, VIEW) as first, loaded(either, VIEW) as second:
        assert first.threaded() == [10_000.0] * 4
        assert torch.equal(first.draws(), second.draws())


def test_workers_share_no_file(sandbox):
    with loaded(sandbox, VIEW) as first, loaded(sandbox, VIEW) as second:
        assert first.scratch() == ["mine"] and second.files()[1] == []


# What a submission does when `f` is called, and the verdict.
DEATHS = {
    "os._exit": ("import os\ndef f(): os._exit(0)", "crashed"),
    "segmentation fault": ("import ctypes\ndef f(): ctypes.string_at(0)", "crashed"),
    "abort": ("import os\ndef f(): os.abort()", "crashed"),
    "closed connection": ("import os, time\ndef f():\n    os.close(3)\n    time.sleep(1000)", "crashed"),
    "endless loop": ("def f():\n    while True: pass", "timeout"),
    "garbage": ("import os, time\ndef f():\n    os.write(3, bytes(100))\n    time.sleep(1000)", "violation"),
    "too much": ("import os, time\ndef f():\n    os.write(3, b'\\xff' * 4)\n    time.sleep(1000)", "violation"),
    "half a frame": ("import os, time\ndef f():\n    os.write(3, b'\\x40\\0\\0\\0')\n    time.sleep(1000)", "timeout"),
}


CHANGES = """
    import os
    def refused(place):
        ways = {
            "write": lambda: open(f"{place}/seed.txt", "w"), "append": lambda: open(f"{place}/seed.txt", "a"),
            "truncate": lambda: os.truncate(f"{place}/seed.txt", 0), "remove": lambda: os.unlink(f"{place}/seed.txt"),
            "make": lambda: open(f"{place}/new.txt", "w"), "rename": lambda: os.rename(f"{place}/seed.txt", f"{place}/old.txt"),
            "link": lambda: os.symlink("/etc/passwd", f"{place}/link"), "folder": lambda: os.mkdir(f"{place}/folder"),
            "read": lambda: open(f"{place}/seed.txt"), "list": lambda: os.listdir(place),
        }
        found = []
        for name, way in ways.items():
            try: way()
            except OSError: found.append(name)
        return found
    def readable(places):
        found = []
        for place in places:
            try:
                with open(place, "rb") as file: file.read(1)
                found.append(place)
            except OSError: pass
        return found
    def works():
        import npfl139.envs, sqlite3, torch.fft, torch.func, xml.dom.minidom, zoneinfo
        return 1
    def scratch():
        with open("/dev/null", "w") as nothing: nothing.write("x")
        with open(f"{os.environ['TMPDIR']}/own.txt", "w") as own: own.write("x")
        os.rename(own.name, own.name + "2")
        os.unlink(own.name + "2")
        return 1
"""
ASK_LANDLOCK = "from grader.inside.landlock import keep_from_files; raise SystemExit(0 if keep_from_files([], [], []) else 1)"


@needs_linux
def test_a_worker_reads_and_changes_no_file_but_what_it_needs(either, tmp_path):
    if either.kind == "process" and subprocess.run([sys.executable, "-c", ASK_LANDLOCK], check=False).returncode:
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "seed.txt").write_text("7")
    with loaded(either, CHANGES) as student:
        refused = ["write", "append", "truncate", "remove", "make", "rename", "link", "folder", "read", "list"]
        assert student.refused(str(tmp_path)) == refused
        root = Path(sandbox_module.__file__).resolve().parents[2]
        secrets = ("grader/topics/ppo/checks.py", "grader/records.py", "grader/grading/grade.py", "solutions/ppo.py", "pyproject.toml")
        assert all((root / name).is_file() for name in secrets)
        assert student.readable([str(root / name) for name in secrets] + ["/etc/hostname", "/proc/1/environ"]) == []
        assert student.scratch() == student.works() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["seed.txt"] and (tmp_path / "seed.txt").read_text() == "7"


def test_what_is_shown_in_parts_leaves_out_what_is_hidden(tmp_path):
    for name in ("site/torch/x.py", "site/solutions/ppo.py", "site/venv.py", "site/grader/venv/lib/y.py", "other/z.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    site = tmp_path / "site"
    shown = {site, site / "grader" / "venv", tmp_path / "other", tmp_path / "missing"}
    whole, parts = landlock.parts_shown(shown, {site / "solutions", site / "grader"})
    assert set(whole) == {site / "torch", site / "venv.py", site / "grader" / "venv", tmp_path / "other", tmp_path / "missing"}
    assert parts == [site]


def test_a_kernel_without_landlock_keeps_a_process_from_nothing(monkeypatch):
    monkeypatch.setattr(landlock, "CREATE_RULESET", 100_000)
    assert not landlock.keep_from_files([], [], [])


@pytest.mark.parametrize("name", DEATHS)
def test_the_verdict_says_how_a_worker_ended_and_the_sandbox_goes_on(either, name):
    text, verdict = DEATHS[name]
    with loaded(either, text, Limits(seconds=1.5)) as student:
        assert verdict_of(student) == verdict and not student.alive
        assert verdict_of(student, "g") == verdict  # the dead do not answer
    with loaded(either, "def f(): return 1") as student:
        assert student.f() == 1


def test_the_limit_on_processor_time_ends_a_worker_before_the_wall_does(either):
    with loaded(either, "def f():\n    while True: pass", Limits(seconds=60, cpu_seconds=1)) as student:
        with pytest.raises(StudentError, match="more than 1 seconds of processor time") as caught:
            student.f()
        assert caught.value.verdict == "timeout"


@needs_linux
@pytest.mark.parametrize(
    "text",
    [
        "def f(): return len(bytearray(2**30))",
        "import numpy\ndef f(): return numpy.ones(2**27)",
        "import torch\ndef f(): return torch.ones(2**28)",
    ],
)
def test_the_limit_on_memory_leaves_the_worker_alive(either, text):
    with loaded(either, text + "\ndef g(): return 1") as student:
        assert verdict_of(student) == "memory" and student.g() == 1


def test_the_limit_on_files(sandbox):
    text = """
        def f():
            for number in range(10):
                open(f"{number}", "wb").write(bytes(2**18))
    """
    with loaded(sandbox, text) as student, pytest.raises(StudentError, match="No space left"):
        student.f()


@needs_linux
@pytest.mark.parametrize(
    "text",
    [
        "import os\ndef f(): os.fork()", "import subprocess\ndef f(): subprocess.run(['true'])", "import socket\ndef f(): socket.socket()",
        "import os\ndef f(): os.system('true') == 0 or os.execv('/bin/true', ['true'])",
        "import os\ndef f(): os.kill(os.getppid() or 2, 0)",
        "import urllib.request\ndef f(): urllib.request.urlopen('http://example.org')",
        "import multiprocessing\ndef f():\n    p = multiprocessing.Process(target=print)\n    p.start()",
        "import os\ndef f(): os.memfd_create('x')",
    ],
)  # fmt: skip
def test_forbidden_system_calls_are_violations_and_the_worker_lives(either, text):
    with loaded(either, text + "\ndef g(): return 1") as student:
        assert verdict_of(student) == "violation" and student.g() == 1


# Start the parent of the workers without preloading all that submissions use, which would take these tests minutes.
BARE_START = sandbox_module.START.replace(
    "main(", "import grader.inside.worker, grader.inside.zygote; grader.inside.zygote.preload = lambda: None; main("
)


def gone(process: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
            if LINUX and " Z " in Path(f"/proc/{process}/stat").read_text():
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("kind", ["bwrap", "process"])
def test_the_parent_of_the_workers_may_die(kind, sandbox, monkeypatch):
    """A worker that it takes along is the grader's fault; the next one comes from a new parent; closing leaves nothing."""
    monkeypatch.setattr(sandbox_module, "START", BARE_START)
    with open_sandbox(kind) as opened:
        first = opened._zygote._process.pid
        with loaded(opened, "import os, time\ndef f(): time.sleep(1000)\ndef g(): return os.getpid()") as student:
            worker = student.g()
            killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
            killer.start()
            assert verdict_of(student) == "grader_fault"
            killer.join()
            assert kind == "bwrap" or gone(worker)
        with loaded(opened, "def f(): return 1") as student:
            assert student.f() == 1
            second = opened._zygote._process.pid
            assert first != second and gone(first)
    assert gone(second)


GRADER = """
import sys, time
import grader.grading.sandbox
from grader.grading.sandbox import open_sandbox
grader.grading.sandbox.START = {start!r}
from grader.grading.remote import Sandboxed
with open_sandbox({kind!r}) as sandbox, Sandboxed(sandbox) as student:
    student.load("import os\\ndef f(): return os.getpid()", "work", "work.py")
    print(sandbox._zygote._process.pid, student.f(), flush=True)
    time.sleep(1000)
"""


@pytest.mark.parametrize("kind", ["bwrap", "process"])
def test_a_killed_grader_leaves_no_process(kind, sandbox):
    grader = subprocess.Popen([sys.executable, "-c", GRADER.format(kind=kind, start=BARE_START)], stdout=subprocess.PIPE, text=True)
    with grader:
        parent, worker = map(int, grader.stdout.readline().split())
        assert not gone(parent, 0.1)
        grader.kill()
    assert gone(parent)
    assert kind == "bwrap" or gone(worker)  # there it knows itself as process 1, and cannot outlive the parent


def test_closing_a_worker_waits_until_it_is_gone(either):
    with loaded(either, "import os\ndef f(): return os.getpid()") as student:
        process = student._worker
    assert process.exit.code == -signal.SIGKILL
    process.close()  # once more is harmless


class Refusing:
    """A parent of workers that cannot start any."""

    def send(self, *_):
        raise BrokenPipeError

    def close(self):
        pass


def test_a_sandbox_that_dies_twice_is_unavailable(monkeypatch):
    monkeypatch.setattr(sandbox_module, "_Zygote", lambda kind: Refusing())
    with open_sandbox("process") as opened:
        with pytest.raises(SandboxUnavailable, match="died twice"):
            opened.worker()
        with pytest.raises(StudentError) as caught:
            Sandboxed(opened).load("", "work", "work.py")
        assert caught.value.verdict == "grader_fault"


class Silent:
    """A parent whose workers say something else than that they are ready."""

    def __init__(self, said):
        self.said = said

    def send(self, message, descriptor=None):
        if descriptor is not None:
            os.write(descriptor, self.said)

    def exit_of(self, name, deadline):
        return sandbox_module.Exit(127, 0.0)


@pytest.mark.parametrize("said", [b"", b"\x05\0\0\0\x01\0\0\0\xc0", b"\xff" * 8])
def test_a_worker_that_is_not_ready_is_the_graders_fault(said):
    class Fake:
        def worker(self, limits):
            return Worker(Silent(said), 0, limits)

    student = Sandboxed(Fake(), Limits(seconds=0.1))
    with pytest.raises(StudentError) as caught:
        student.load("", "work", "work.py")
    assert caught.value.verdict == "grader_fault" and not student.alive


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="bwrap, process"):
        open_sandbox("docker")


def descriptors():
    return sorted(os.listdir("/dev/fd"))


def test_a_machine_without_bubblewrap_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    before = descriptors()
    with pytest.raises(SandboxUnavailable, match="apt install bubblewrap.*dnf install bubblewrap.*--sandbox process"):
        open_sandbox("bwrap").__enter__()
    assert descriptors() == before


def test_a_bubblewrap_that_cannot_be_run_leaves_nothing_open(monkeypatch, tmp_path):
    program = tmp_path / "bwrap"
    program.write_text("neither a program nor a script")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    before = descriptors()
    with pytest.raises(SandboxUnavailable, match=r"its program cannot be started \(Exec format error\)"):
        open_sandbox("bwrap").__enter__()
    assert descriptors() == before


def test_a_machine_that_forbids_namespaces_is_told_so(monkeypatch, tmp_path):
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="No permissions to create new namespace.*user namespaces"), open_sandbox("bwrap"):
        pass


def test_hidden_directories_inside_shown_ones_are_covered_and_shown_ones_inside_hidden_are_not(tmp_path):
    def mounts(shown, hidden):
        options = sandbox_module._view({tmp_path / path for path in shown}, {tmp_path / path for path in hidden})
        pairs = [pair for pair in zip(options, options[1:], strict=False) if pair[0].startswith("--") and pair[1].startswith(str(tmp_path))]
        return [f"{option} {os.path.relpath(path, tmp_path)}" for option, path in pairs]

    assert mounts({"venv"}, {"venv/lib/grader"}) == ["--ro-bind venv", "--tmpfs venv/lib/grader", "--remount-ro venv/lib/grader"]
    assert mounts({"repo/.venv"}, {"repo"}) == ["--ro-bind repo/.venv"]
    assert mounts({"usr", "usr/repo/.venv", "usr/lib"}, {"usr/repo"}) == [
        "--ro-bind usr", "--tmpfs usr/repo", "--ro-bind usr/repo/.venv", "--remount-ro usr/repo",
    ]  # fmt: skip


def test_the_project_is_hidden_as_a_checkout_and_as_an_installed_package(tmp_path, monkeypatch):
    for package in ("grader", "npfl139", "torch", "solutions"):
        (tmp_path / package).mkdir()
    monkeypatch.setattr(sandbox_module, "_home", lambda package: tmp_path / "grader")
    monkeypatch.setattr(sandbox_module.sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sandbox_module.registry, "available", lambda: ())
    assert sandbox_module._secret_roots() == {tmp_path / "grader", tmp_path / "npfl139", tmp_path / "solutions"}
    (tmp_path / "pyproject.toml").touch()
    assert sandbox_module._secret_roots() == {tmp_path, tmp_path / "solutions"}


def test_a_distribution_that_brings_a_topic_is_hidden_with_all_its_folders(tmp_path, monkeypatch):
    site = tmp_path / "lib" / "site-packages"
    for folder in ("bandit_checks/inner", "bandit_helpers", "solutions", "torch", "bandit-1.0.dist-info"):
        (site / folder).mkdir(parents=True)
    (site / "bandit-1.0.dist-info" / "METADATA").write_text("Name: bandit\nVersion: 1.0\n")
    files = ("bandit_checks/inner/checks.py", "bandit_helpers/naive.py", "bandit-1.0.dist-info/METADATA", "../../bin/bandit")
    (site / "bandit-1.0.dist-info" / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    monkeypatch.setattr(sandbox_module.sys, "path", [str(site)])
    monkeypatch.setattr(sandbox_module.registry, "available", lambda: ("bandit",))
    monkeypatch.setattr(sandbox_module.registry, "package", lambda name: "bandit_checks.inner")
    monkeypatch.setattr(sandbox_module.registry, "folder", lambda name: site / "bandit_checks" / "inner")
    monkeypatch.setattr(sandbox_module.registry, "distribution", lambda name: PathDistribution(site / "bandit-1.0.dist-info"))
    hidden = sandbox_module._secret_roots() - {Path(sandbox_module.__file__).resolve().parents[2]}
    assert hidden == {site / "bandit_checks", site / "bandit_helpers", site / "solutions"}
    (tmp_path / "lib" / "project").mkdir()
    (tmp_path / "lib" / "project" / "pyproject.toml").touch()
    monkeypatch.setattr(sandbox_module.registry, "folder", lambda name: tmp_path / "lib" / "project" / "src" / "bandit_checks")
    assert tmp_path / "lib" / "project" in sandbox_module._secret_roots()


@pytest.mark.parametrize("home, scratch", [("/opt/python", "/tmp"), ("/tmp/clone/.venv", "/scratch")])
def test_the_private_directory_does_not_cover_a_python_that_lies_in_tmp(monkeypatch, home, scratch):
    monkeypatch.setattr(sandbox_module, "_python_roots", lambda: {Path(home)})
    options = sandbox_module._bwrap_command("bwrap", 5)
    assert options[options.index("--tmpfs") + 1] == options[options.index("TMPDIR") + 1] == scratch


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_decides_as_documented(machine):
    """Interpret the filter's program for system calls of the architecture."""
    column = 0 if machine == "x86_64" else 1
    code = seccomp.program(machine, own_pid=7)
    denied, allowed, unknown = 0x00050001, 0x7FFF0000, 0x00050026

    def decided(number, first=0, architecture=seccomp.AUDIT_ARCH[machine]):
        return interpreted(code, {0: number, 4: architecture, 16: first})

    read_number = {"x86_64": 0, "aarch64": 63}[machine]
    numbers = [pair[column] for pair in seccomp.DENIED.values() if pair[column] is not None]
    assert decided(read_number) == allowed and decided(read_number, architecture=0x40000003) == 0x80000000
    assert all(decided(number) == denied for number in numbers) and len(numbers) > 70
    assert decided(seccomp.CLONE3[column]) == unknown
    assert decided(seccomp.CLONE[column], 17) == denied and decided(seccomp.CLONE[column], 0x3D0F00) == allowed
    assert decided(seccomp.CLONE[column], 0x3D0F00 | 0x10000000) == denied
    kill, limit = seccomp.ONLY_ITSELF["kill"][column], seccomp.ONLY_ITSELF["prlimit64"][column]
    assert [decided(kill, process) for process in (7, 8, 0, 2**32 - 1)] == [allowed, denied, denied, denied]
    assert [decided(limit, process) for process in (7, 8, 0)] == [allowed, denied, allowed]
    if machine == "x86_64":
        assert decided(0x40000000) == denied


def interpreted(code: bytes, call: dict[int, int]) -> int:
    """Return what a classic BPF program of the five used instructions returns for a system call."""
    instructions = list(struct.iter_unpack("HBBI", code))
    position = accumulator = 0
    while True:
        kind, if_true, if_false, constant = instructions[position]
        position += 1
        if kind == seccomp.RETURN:
            return constant
        if kind == seccomp.LOAD:
            accumulator = call[constant]
        else:
            holds = {
                seccomp.JUMP_EQUAL: accumulator == constant,
                seccomp.JUMP_GREATER_EQUAL: accumulator >= constant,
                seccomp.JUMP_ANY_BIT: accumulator & constant != 0,
            }[kind]
            position += if_true if holds else if_false


def test_other_architectures_are_refused(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(seccomp.NotSupported, match="riscv64"):
        seccomp.install()


def test_a_sandbox_serves_several_threads(sandbox):
    results = []

    def grade(number):
        with loaded(sandbox, f"def f(): return {number}") as student:
            results.append(student.f())

    threads = [threading.Thread(target=grade, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(6))


def test_a_listener_on_the_loopback_is_out_of_reach(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = f"import socket\ndef f(): socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=1)"
        with loaded(sandbox, text) as student:
            assert verdict_of(student) == "violation"
