"""Ties a child process to its parent: it ends when the front wants it, or dies, and not before."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies.

    Where it cannot, the closed socket ends it.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def leave_signals_to_parent() -> None:
    """Do nothing on SIGINT and SIGTERM.

    Ctrl-C reaches the whole group, and systemd tells every process of a service to end: the front
    finishes what runs first. They are handled rather than ignored, because a program that a model
    starts would inherit that it ignores them.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
