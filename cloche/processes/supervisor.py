"""The end of a process that runs a model's code: all that the model started ends with it.

A model may start programs, fork twice so that nobody is their parent, give them sessions of their
own, and let them hold its output open. So the process that others start divides itself:

    parent ──► supervisor ──► the process that does the work ──► whatever a model starts
               knows no model  in a session of its own

Linux makes the supervisor the parent of every process below it whose own parent ends (it is their
"child subreaper"). When the work is done or its process dies, when the supervisor is told to end,
or when its own parent dies, it ends what is left: it asks by SIGTERM, and insists soon after. Then
it ends itself, in the way in which the process that did the work has ended.

Where there is no subreaper, what is still in the session of the work is ended, and no more.
"""

import atexit
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cloche.processes import parent_watch

_LINUX = sys.platform == "linux"
_PR_SET_CHILD_SUBREAPER = 36
_STDERR = 2

_HANDLER_SECONDS = 1.0  # for threads that shall end, and again for exit handlers
_NEXT_SECONDS = 0.2  # for each that hangs after that
_ORPHANED_SECONDS = 3.0  # for work whose parent died, to end by itself
_ASKED_SECONDS = 1.0  # from SIGTERM to SIGKILL, for what the work leaves
_KILLED_SECONDS = 5.0  # for the kernel, which may hold on to a process that waits for a disk
_INSIST_SECONDS = 10.0  # longer than a supervisor takes
_LOOK_SECONDS = 0.05

# Not SIGTERM, which systemd sends to every process of a service: whoever started it decides.
_END = signal.SIGRTMIN if _LINUX else signal.SIGKILL
_ORPHANED = _END + 1

_working_process = 0


def run(work: Callable[[], None], name: str, parent: int | None = None) -> NoReturn:
    """Do `work` in a process below this one, and end, with all that it started.

    To be called while this process has one thread. It ends with 0 when the work returns.

    Args:
        work: What runs the model's code.
        name: What `ps` calls its process, in up to 15 characters, where it can.
        parent: The process id of the parent, where it is known for sure.
    """
    global _working_process  # noqa: PLW0603  # a process does one work
    if _LINUX:
        _divide(parent or os.getppid())
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()  # a signal that a model sends to its group reaches what it started, and no more
    _working_process = os.getpid()
    parent_watch.name(name)
    parent_watch.leave_signals_to_parent()
    _work_and_end(work)


def end_copy() -> None:
    """End this process if it is a copy that a model's code made, and that came back from it.

    A model that forks and returns twice would give two answers to one question. To be called when
    its code has returned.
    """
    if _working_process and os.getpid() != _working_process:
        with contextlib.suppress(OSError):
            os.write(_STDERR, b"The model's code forked and returned twice: the copy is ended.\n")
        os._exit(0)


def tell_to_end(pid: int) -> None:
    """Tell a supervisor to end at once, with what is below it."""
    with contextlib.suppress(ProcessLookupError):
        if not _LINUX:
            with contextlib.suppress(ProcessLookupError):  # it leads no group yet
                os.killpg(pid, _END)
        os.kill(pid, _END)


def end(process: "subprocess.Popen[bytes]", patience: float = 0.0) -> int:
    """Wait until a supervised process has ended, and end it if it does not; its exit code.

    Args:
        process: The supervisor.
        patience: Seconds that it may take to end by itself.
    """
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(patience)
    tell_to_end(process.pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(_INSIST_SECONDS)
    process.kill()
    return process.wait()


def _work_and_end(work: Callable[[], None]) -> NoReturn:
    """Do the work, let exit handlers run, and end without waiting for threads that do not."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as told:
        code = told.code if isinstance(told.code, int) else int(told.code is not None)
        if isinstance(told.code, str):
            print(told.code, file=sys.stderr)  # noqa: T201  # as Python ends
    except BaseException:  # noqa: BLE001  # as Python ends
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            end_copy()
            # as Python ends: a ThreadPoolExecutor is told before exit handlers are called
            _call_in_time(threading._shutdown)  # type: ignore[attr-defined]
            _call_in_time(atexit._run_exitfuncs)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            if not _LINUX:
                os.killpg(0, signal.SIGTERM)  # which this process handles
        finally:
            os._exit(code)


def _call_in_time(handlers: Callable[[], None]) -> None:
    """Let handlers run for a second; those that hang are interrupted."""

    def interrupt(_: int, __: FrameType | None) -> NoReturn:
        raise TimeoutError(f"It did not end within {_HANDLER_SECONDS:g} s of being told to.")

    with contextlib.suppress(BaseException):  # also one that nobody reads any more
        try:
            signal.signal(signal.SIGALRM, interrupt)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
            signal.setitimer(signal.ITIMER_REAL, _HANDLER_SECONDS, _NEXT_SECONDS)
            handlers()
        except BaseException:  # noqa: BLE001  # as Python ends
            sys.excepthook(*sys.exc_info())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _divide(parent: int) -> None:
    """Return in a new process, which this one supervises."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else the kernel might tell no status
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    parent_watch.die_with_parent(parent, _ORPHANED)
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()  # it has work to do when a signal ends its parent's group
    supervisor = os.getpid()
    work = os.fork()
    if work:
        _supervise(work)
    parent_watch.die_with_parent(supervisor)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _supervise(work: int) -> NoReturn:
    """Wait for the end, bring about that of all below, and end as the work did."""
    code = 1
    try:
        parent_watch.name("cloche-super")
        _let_go()
        code = os.waitstatus_to_exitcode(_status_of(work))
        _end_the_rest()
        if code < 0:
            _end_by_signal(-code)
    finally:
        os._exit(code if code >= 0 else 1)


def _let_go() -> None:
    """Close what is the work's: whoever has the other end sees when the work ends."""
    for number in _numbers_in("/proc/self/fd"):
        if number != _STDERR:
            with contextlib.suppress(OSError):
                os.close(number)


def _status_of(work: int) -> int:
    """The status with which the work ended, by itself or because it had to."""
    end: float | None = None
    while True:
        told = _wait_for({signal.SIGCHLD, _END, _ORPHANED}, end)
        if told == _ORPHANED:
            end = time.monotonic() + _ORPHANED_SECONDS
        elif told in (_END, None):
            os.kill(work, signal.SIGKILL)
        for pid, status in _ended():
            if pid == work:
                return status


def _wait_for(numbers: set[int], end: float | None) -> int | None:
    """The signal that came; None if none came until `end`, on the monotonic clock."""
    if end is None:
        return signal.sigwaitinfo(numbers).si_signo
    told = signal.sigtimedwait(numbers, max(0.0, end - time.monotonic()))
    return None if told is None else told.si_signo


def _ended() -> Iterator[tuple[int, int]]:
    """The processes below this one that have ended, each with its status."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended


def _end_the_rest() -> None:
    """End every process below this one: it is asked, and then killed."""
    asked = time.monotonic() + _ASKED_SECONDS
    if _has_children():
        _signal_all(signal.SIGTERM)
    while _has_children() and _wait_for({signal.SIGCHLD}, asked):
        pass
    killed = time.monotonic() + _KILLED_SECONDS
    while _has_children() and time.monotonic() < killed:
        _signal_all(signal.SIGKILL)  # again, for what was started meanwhile
        _wait_for({signal.SIGCHLD}, time.monotonic() + _LOOK_SECONDS)


def _has_children() -> bool:
    """Whether there is a process below this one that has not ended."""
    for _ in _ended():
        pass
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _signal_all(number: int) -> None:
    """Signal every process below this one, also those whose parent still lives."""
    below: dict[int, list[int]] = {}
    for pid in _numbers_in("/proc"):
        with contextlib.suppress(OSError):  # it has ended
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            below.setdefault(int(status.rpartition(")")[2].split()[1]), []).append(pid)
    waiting = below.get(os.getpid(), [])
    while waiting:
        pid = waiting.pop()
        waiting += below.get(pid, [])
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            os.kill(pid, number)


def _numbers_in(folder: str) -> list[int]:
    """The entries of a folder of /proc that are numbers; none where that is not mounted."""
    try:
        return [int(entry) for entry in os.listdir(folder) if entry.isdecimal()]  # noqa: PTH208  # there are thousands
    except OSError:
        return []


def _end_by_signal(number: int) -> None:
    """End as the work did, without another dump of memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # SIGKILL has no handler
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
