"""How many submissions this machine can grade at a time."""

import os
from pathlib import Path

from grader.inside.limits import Limits

__all__ = ["affordable_jobs"]

BYTES_PER_JOB = Limits().memory + 2**30  # what a submission may use, and what the grader and its sandbox take
MEMORY = Path("/proc/meminfo")
CONTROL_GROUPS = Path("/sys/fs/cgroup")  # as a container sees its own
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def affordable_jobs() -> int:
    """Return the number of processors that this process may use, or fewer where memory would not last; at least 1."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = _available_bytes()
    return processors if memory is None else max(1, min(processors, memory // BYTES_PER_JOB))


def _available_bytes() -> int | None:
    """Return the bytes of memory that are left, None where the system does not say."""
    known = []
    for line in (_text(MEMORY) or "").splitlines():
        if line.startswith("MemAvailable:"):
            known.append(1024 * int(line.split()[1]))
    for limit, usage in LIMITS:
        most, used = _text(CONTROL_GROUPS / limit), _text(CONTROL_GROUPS / usage)
        if most and used and most.strip().isdigit():
            known.append(max(0, int(most) - int(used)))
    return min(known, default=None)


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
