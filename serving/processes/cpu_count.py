"""How many cores a process may use: those of the machine, within the limit of its container."""

import os
from pathlib import Path


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that this process may run on; at least one.

    Args:
        quota: Where the container's limit stands, as microseconds in a period, or `max`.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        most, _, period = quota.read_text().strip().partition(" ")
    except OSError:
        most = ""
    if most.isdecimal():
        allowed = min(allowed or 1, max(1, int(most) // int(period)))
    return allowed or 1
