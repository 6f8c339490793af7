"""A host that loads beside a version that serves is a background task, until it is warm.

Loading keeps a core busy for seconds, and requests would wait for it.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_LOWER_BY = 10  # a tenth of the share of a process with the usual priority


@contextlib.contextmanager
def lowered() -> Iterator[None]:
    """Give this process and its threads less of the cores meanwhile, where that can be undone."""
    if not _may_restore():
        yield
        return
    own = os.getpriority(os.PRIO_PROCESS, 0)
    _renice(own + _LOWER_BY)
    try:
        yield
    finally:
        _renice(own)


def _renice(priority: int) -> None:
    """Linux has a priority for each thread; new ones get that of the thread that starts them."""
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), priority)


@cache
def _may_restore() -> bool:
    """Whether this process may raise what it has lowered.

    Users may where the limit RLIMIT_NICE lets them, and with CAP_SYS_NICE. A thread tries it on
    itself.
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
