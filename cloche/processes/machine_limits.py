"""Recognition of errors that mean that no memory or disk space is left, and advice for it."""

import errno
import os
from pathlib import Path

_NO_ROOM = (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of the container, or of the systemd unit


def exhausted_resource(error: BaseException | None) -> str:
    """Return the resource whose lack caused an error; empty if the error has another cause."""
    while error is not None:
        if isinstance(error, MemoryError):
            return "memory"
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return f"room ({os.strerror(error.errno)})"
        error = error.__cause__ or error.__context__
    return ""


def more_memory() -> str:
    """Return what gives this process more memory, as an imperative."""
    try:
        limit = int(_LIMIT.read_text()) >> 20
    except (OSError, ValueError):  # ValueError: `max`
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        return f"use a machine with more memory than the {size} MiB of this one"
    return (
        f"raise the memory limit of {limit} MiB (docker run --memory, resources.limits.memory in "
        "Kubernetes, MemoryMax= in systemd)"
    )
