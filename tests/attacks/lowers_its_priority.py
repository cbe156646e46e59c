"""Makes everybody else go first, so that it waits for a processor for hours, and its seconds do not count."""

import os

_found = []
for _lower in (
    lambda: os.nice(19),
    lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
    lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)),
):
    try:
        _lower()
        _found.append("lowered its priority")
    except OSError:
        pass


def attack_loot():
    return _found
