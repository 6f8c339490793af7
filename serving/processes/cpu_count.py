"""The number of cores that a process may use: the machine's, within its container's limit."""

import os
from pathlib import Path


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The number of cores that this process may run on; at least one.

    Args:
        quota: The cgroup file of the container's limit: quota or `max`, then period, both in
            microseconds.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        most, _, period = quota.read_text().strip().partition(" ")
    except OSError:
        most = ""
    if most.isdecimal():
        allowed = min(allowed or 1, max(1, int(most) // int(period)))
    return allowed or 1
