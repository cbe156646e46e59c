"""How many submissions this machine can grade at a time."""

import os
from collections.abc import Callable
from pathlib import Path

from grader.inside.limits import Limits

__all__ = ["jobs_for"]

BYTES_PER_JOB = Limits().memory + 2**30  # what a submission may use, and what the grader and its sandbox take
MEMORY = Path("/proc/meminfo")
CONTROL_GROUPS = Path("/sys/fs/cgroup")  # as a container sees its own
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def jobs_for(submissions: int, wanted: int | None, warn: Callable[[str], None]) -> int:
    """Return how many of so many submissions are graded at a time, at least 1.

    Args:
        wanted: as many as this, however little memory there is; None for one per processor, or fewer where memory would not last.
        warn: called with a sentence where `wanted` submissions may need more memory than is left.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = _available_bytes()
    lasting = None if memory is None else max(1, memory // BYTES_PER_JOB)
    jobs = max(1, min(wanted or min(processors, lasting or processors), submissions))
    if memory is not None and lasting is not None and lasting < jobs:
        needed, left = jobs * BYTES_PER_JOB / 2**30, memory / 2**30
        warn(
            f"{jobs} submissions at a time may need {needed:.0f} GiB of memory, and {left:.1f} GiB are left: "
            f"the system may end some of them; use --jobs {lasting}"
        )
    return jobs


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
