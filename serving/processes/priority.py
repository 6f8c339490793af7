"""A lower priority for a host that loads while another version serves, or that serves a shadow.

Loading keeps a core busy for seconds, which would delay requests.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_LOWEST = 19
_ENDED_FIRST = "1000"  # by the kernel, when memory runs out
_LOWER_BY = 10  # leaves a tenth of the CPU share of a process with normal priority


@contextlib.contextmanager
def lowered() -> Iterator[None]:
    """Lower the priority of this process within the context, if it can be restored afterwards."""
    if not _may_restore():
        yield
        return
    own = os.getpriority(os.PRIO_PROCESS, 0)
    _renice(own + _LOWER_BY)
    try:
        yield
    finally:
        _renice(own)


def lower(priority: int = _LOWEST) -> None:
    """Lower the priority of this process for good, for processor time and for memory."""
    if sys.platform == "linux":
        _renice(priority)
        Path("/proc/self/oom_score_adj").write_text(_ENDED_FIRST)  # anybody may raise it


def _renice(priority: int) -> None:
    """Set the priority of all threads: Linux has one for each, which new threads inherit."""
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), priority)


@cache
def _may_restore() -> bool:
    """Whether this process may raise its priority after lowering it.

    That needs a sufficient RLIMIT_NICE, or CAP_SYS_NICE. A thread tries it on itself.
    """
    if sys.platform != "linux":
        return False
    allowed = []

    def attempt() -> None:
        own = os.getpriority(os.PRIO_PROCESS, 0)
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, own + 1)
            os.setpriority(os.PRIO_PROCESS, 0, own)
            allowed.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(allowed)
