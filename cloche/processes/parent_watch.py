"""Lets a child process end when its parent asks for it, or dies."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
# The signals that end a process that does not handle them, without those for faults.
_MEANT_FOR_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def die_with_parent(parent: int | None = None, number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process a signal when its parent dies (Linux only).

    Args:
        parent: The process id of the parent, if the caller knows it for certain.
        number: The number of the signal.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = parent or os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # the parent died before the kernel was asked
        os._exit(1)


def set_process_name(text: str) -> None:
    """Set the name that `ps` and `top` show for this process, up to 15 characters (Linux only)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(text)


def ignore_group_signals() -> None:
    """Do nothing on signals that are meant for the process that started this one.

    Ctrl-C reaches the whole process group, and systemd signals every process of a service, but the
    front finishes running requests first. The signals are handled and not ignored, because programs
    that a model starts would ignore them, too. In forks that a model makes, the default handlers
    are restored, so that the model can end them.
    """
    for number in _MEANT_FOR_PARENT:
        signal.signal(number, _do_nothing)
    os.register_at_fork(after_in_child=_restore_signals)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Ignore a signal; `_restore_signals` compares handlers with this function."""


def _restore_signals() -> None:
    for number in _MEANT_FOR_PARENT:
        if signal.getsignal(number) is _do_nothing:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
