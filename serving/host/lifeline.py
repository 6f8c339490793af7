"""Ties a child process to its parent: it ends when the front wants it, or dies, and not before."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent dies.

    Where it cannot, the closed socket ends it.

    Args:
        parent: The process id of the parent, where it is known for sure.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = parent or os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def name(text: str) -> None:
    """Have `ps` and `top` call this process so, in up to 15 characters, where they can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(text)


def leave_signals_to_parent() -> None:
    """Do nothing on SIGINT and SIGTERM.

    Ctrl-C reaches the whole group, and systemd tells every process of a service to end: the front
    finishes what runs first. They are handled rather than ignored, because a program that a model
    starts would inherit that it ignores them.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
