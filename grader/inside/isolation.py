"""What a forked worker does to itself before it sees student code: namespaces, limits, capabilities, system calls."""

import ctypes
import math
import os
import resource
import signal
import sys
from pathlib import Path

from grader.inside import landlock, seccomp
from grader.inside.limits import Limits

__all__ = [
    "CHANNEL",
    "DEVICES",
    "Seen",
    "confine",
    "die_with",
    "mapped_bytes",
    "namespace_of_children",
    "resident_bytes",
    "threads_of",
    "used_by",
    "waited_of",
]

CHANNEL = 3  # the worker's only descriptor besides the three standard ones
DEVICES = (os.devnull, "/dev/urandom")  # those that there are in the sandbox; torch seeds itself from the latter
LINUX = sys.platform == "linux"

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_NOATIME, MS_NODIRATIME = 1, 2, 4, 8, 32, 1024, 2048
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 1, 4, 24, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
Seen = tuple[list[Path], list[Path]]
ADDRESS_SLACK = 2**29  # stacks and arenas of threads reserve addresses without using memory


def mapped_bytes() -> tuple[int, int]:
    """Return the bytes of addresses and of private data that this process has already mapped (0 where the system does not say)."""
    if not LINUX:
        return 0, 0
    pages = [int(word) for word in Path("/proc/self/statm").read_text().split()]
    return pages[0] * resource.getpagesize(), pages[5] * resource.getpagesize()


def threads_of(process: int) -> int:
    """Return how many threads a process has (0 where it has ended, or the system does not say)."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[17])
    except OSError:
        return 0


def resident_bytes(process: int) -> int:
    """Return the bytes of memory in which a process has something, shared or not (0 where it has ended, or the system does not say)."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def used_by(process: int) -> tuple[float, float | None]:
    """Return the processor seconds of a process, and those for which its first thread had to wait for a processor.

    The latter is None where the system does not say; both are 0 where the process has ended.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0, 0.0
    return cpu, waited_of(process)


def waited_of(process: int | str) -> float | None:
    """Return the seconds for which the first thread of a process, or the thread "thread-self", had to wait for a processor."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return None


def namespace_of_children(descriptor: int | None = None) -> None:
    """Let the children of this process be born into the process namespace of the descriptor, by default the next one into a new one.

    Raises:
        OSError: the system forbids it.
    """
    libc = _libc()
    _checked(libc.unshare(CLONE_NEWPID) if descriptor is None else libc.setns(descriptor, CLONE_NEWPID), "process namespace")


def confine(channel: int, limits: Limits, mapped: tuple[int, int], own_namespaces: bool, seen: Seen) -> None:
    """Give up everything that student code must not have. The channel becomes the descriptor `CHANNEL`.

    Args:
        mapped: see `mapped_bytes`.
        own_namespaces: whether it gets a view of files of its own.
        seen: what it may read, and folders in which it may see names, if it gets none.

    Raises:
        OSError, NotSupported: the system forbids a step; the worker must not go on.
    """
    os.setsid()
    if own_namespaces:
        _enter_namespaces()
        _hide_files(limits)
    elif LINUX:
        landlock.keep_from_files((os.environ["TMPDIR"], *DEVICES), *seen)  # as far as this kernel can
    _close_descriptors(channel)
    _limit(limits, mapped)
    if LINUX:
        _drop_capabilities()
        seccomp.install()


def die_with(parent: int) -> None:
    """Have the system kill this process when its parent ends, for the case that it cannot do so itself."""
    if LINUX:
        _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _enter_namespaces() -> None:
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc().unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _hide_files(limits: Limits) -> None:
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    scratch = os.environ["TMPDIR"]
    _mount("tmpfs", scratch, f"size={limits.scratch},nr_inodes=4096,mode=0700", MS_NOSUID | MS_NODEV)
    _mount("tmpfs", "/proc", "size=0,nr_inodes=1,mode=0500", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY)
    for device in DEVICES:  # writing still works, but root, to whom they belong outside, too, can no longer change their modes
        kept = os.statvfs(device).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
        _mount("none", device, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)
    os.chdir(scratch)


def _close_descriptors(channel: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    os.dup2(channel, CHANNEL, inheritable=False)
    os.closerange(CHANNEL + 1, os.sysconf("SC_OPEN_MAX"))


def _limit(limits: Limits, mapped: tuple[int, int]) -> None:
    _cap(resource.RLIMIT_CORE, 0)
    _cap(resource.RLIMIT_FSIZE, limits.scratch)
    _cap(resource.RLIMIT_NOFILE, limits.open_files)
    _cap(resource.RLIMIT_STACK, 8 * 2**20)
    _cap(resource.RLIMIT_CPU, math.ceil(limits.cpu_seconds))
    if LINUX:
        _cap(resource.RLIMIT_DATA, mapped[1] + limits.memory)
        _cap(resource.RLIMIT_AS, mapped[0] + limits.memory + ADDRESS_SLACK)


def _cap(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _drop_capabilities() -> None:
    libc = _libc()
    _checked(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails where there is none of that number, or none to drop
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _checked(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _mount(source: str, target: str, options: str | None, flags: int) -> None:
    kind = b"tmpfs" if options else None
    _checked(_libc().mount(source.encode(), target.encode(), kind, flags, options.encode() if options else None), f"mount {target}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
