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
def lowered(pid: int) -> Iterator[None]:
    """Give a process and its threads less of the cores meanwhile, where that can be undone."""
    if not _may_restore():
        yield
        return
    own = os.getpriority(os.PRIO_PROCESS, 0)
    _renice(pid, own + _LOWER_BY)
    try:
        yield
    finally:
        _renice(pid, own)


def _renice(pid: int, priority: int) -> None:
    for thread in _threads(pid):
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, priority)


def _threads(pid: int) -> Iterator[int]:
    """Linux has a priority for each thread; new ones get that of the thread that starts them."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        yield from (int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir())


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
