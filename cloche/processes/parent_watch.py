"""What ties a child process to its parent: it ends when its parent wants it, or dies."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
# On them a process ends that does not handle them; those of faults are not among them.
_MEANT_FOR_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def die_with_parent(parent: int | None = None, number: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal to this process when its parent dies, where it can.

    Args:
        parent: The process id of the parent, where it is known for sure.
        number: The signal.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = parent or os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the kernel knew
        os._exit(1)


def name(text: str) -> None:
    """Have `ps` and `top` call this process so, in up to 15 characters, where they can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(text)


def leave_signals_to_parent() -> None:
    """Do nothing on signals that are meant for whoever started this process.

    Ctrl-C reaches the whole group, and systemd tells every process of a service to end: the front
    finishes what runs first. They are handled rather than ignored, because a program that a model
    starts would inherit that it ignores them; and not in a fork that a model makes, which would
    inherit the handler, so that the model could not end it.
    """
    for number in _MEANT_FOR_PARENT:
        signal.signal(number, _do_nothing)
    os.register_at_fork(after_in_child=_restore_signals)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal; `_restore_signals` knows the handler by its name."""


def _restore_signals() -> None:
    for number in _MEANT_FOR_PARENT:
        if signal.getsignal(number) is _do_nothing:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
