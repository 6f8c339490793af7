"""Ends a process that runs a model's code together with all processes that the model started.

A model may start programs, fork twice so that they lose their parent, give them sessions of their
own, and let them hold its output open. Therefore the process forks itself into two:

    parent ──► supervisor ──► working process ──────────► processes that a model starts
               runs no model  in a session of its own

Linux makes the supervisor the parent of every process below it whose own parent ends (it is their
"child subreaper"). When the work is done or its process dies, when the supervisor is signalled to
end, or when its own parent dies, it ends the remaining processes: by SIGTERM, and soon after by
SIGKILL. Then it ends itself with the exit status of the working process.

On systems without subreapers, only the processes in the session of the working process are ended.
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

_HANDLER_SECONDS = 1.0  # timeout of the join of threads, and again of exit handlers
_NEXT_SECONDS = 0.2  # timeout of each further handler that hangs
_ORPHANED_SECONDS = 3.0  # from the parent's death to SIGKILL, for work that ends by itself
_ASKED_SECONDS = 1.0  # from SIGTERM to SIGKILL, for processes that outlive the work
_KILLED_SECONDS = 5.0  # after SIGKILL: the kernel keeps a process that waits for a disk
_INSIST_SECONDS = 10.0  # longer than a supervisor needs to end
_POLL_SECONDS = 0.05

# The signal by which a supervisor is told to end. Not SIGTERM, which systemd sends to every process
# of a service: the parent decides when to end.
END = signal.SIGRTMIN if _LINUX else signal.SIGKILL
_ORPHANED = END + 1

_working_process = 0


def run(work: Callable[[], None], name: str, parent: int | None = None) -> NoReturn:
    """Run `work` in a child process, and then end this process and all that were started.

    Call it while this process has one thread. The exit code is 0 if `work` returns.

    Args:
        work: The function that runs the model's code.
        name: The name of the working process in `ps`, up to 15 characters (Linux only).
        parent: The process id of the parent, if the caller knows it for certain.
    """
    global _working_process  # noqa: PLW0603  # a process runs `work` only once
    if _LINUX:
        _fork_supervisor(parent or os.getppid())
    with contextlib.suppress(PermissionError):  # the process already leads a session
        os.setsid()  # a model's signal to its process group reaches only processes that it started
    _working_process = os.getpid()
    parent_watch.set_process_name(name)
    parent_watch.ignore_group_signals()
    _work_and_end(work)


def end_stray_fork() -> None:
    """End this process if it is a fork that the model's code made and returned from.

    A model that forks and returns in both processes would send two answers to one request. Call
    this whenever the model's code has returned.
    """
    if _working_process and os.getpid() != _working_process:
        with contextlib.suppress(OSError):
            os.write(_STDERR, b"The model's code forked and returned twice: the copy is ended.\n")
        os._exit(0)


def request_end(pid: int) -> None:
    """Signal a supervisor to end immediately, with all processes below it."""
    with contextlib.suppress(ProcessLookupError):
        if not _LINUX:
            with contextlib.suppress(ProcessLookupError):  # the process leads no group yet
                os.killpg(pid, END)
        os.kill(pid, END)


def end(process: "subprocess.Popen[bytes]", time_limit: float = 0.0) -> int:
    """Wait up to `time_limit` seconds for a supervised process; end it and return its exit code."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(time_limit)
    request_end(process.pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(_INSIST_SECONDS)
    process.kill()
    return process.wait()


def end_like(code: int) -> NoReturn:
    """End this process as another one has ended: by its signal, or with its exit code."""
    try:
        if code < 0:
            _end_by_signal(-code)
    finally:
        os._exit(code if code >= 0 else 1)


def _work_and_end(work: Callable[[], None]) -> NoReturn:
    """Run the work and the exit handlers, and end without waiting for threads that hang."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as raised:
        code = raised.code if isinstance(raised.code, int) else int(raised.code is not None)
        if isinstance(raised.code, str):
            print(raised.code, file=sys.stderr)  # noqa: T201  # as Python itself does
    except BaseException:  # noqa: BLE001  # as Python itself does
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            end_stray_fork()
            # Python's own order: ThreadPoolExecutors are shut down before exit handlers are called.
            _call_in_time(threading._shutdown)  # type: ignore[attr-defined]
            _call_in_time(atexit._run_exitfuncs)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            if not _LINUX:
                os.killpg(0, signal.SIGTERM)  # this process itself has a handler for it
        finally:
            os._exit(code)


def _call_in_time(handlers: Callable[[], None]) -> None:
    """Run handlers with a timeout of one second; those that hang are interrupted."""

    def interrupt(_: int, __: FrameType | None) -> NoReturn:
        raise TimeoutError(f"It did not end within {_HANDLER_SECONDS:g} s of being told to.")

    with contextlib.suppress(BaseException):  # an interrupt may also come in the `except` block
        try:
            signal.signal(signal.SIGALRM, interrupt)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
            signal.setitimer(signal.ITIMER_REAL, _HANDLER_SECONDS, _NEXT_SECONDS)
            handlers()
        except BaseException:  # noqa: BLE001  # as Python itself does
            sys.excepthook(*sys.exc_info())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _fork_supervisor(parent: int) -> None:
    """Fork: return in the child process only, while this process supervises the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if ignored, the kernel keeps no exit status
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    parent_watch.die_with_parent(parent, _ORPHANED)
    with contextlib.suppress(PermissionError):  # the process already leads a session
        os.setsid()  # the supervisor must survive a signal that ends its parent's group
    supervisor = os.getpid()
    work = os.fork()
    if work:
        _supervise(work)
    parent_watch.die_with_parent(supervisor)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _supervise(work: int) -> NoReturn:
    """Wait until the work ends, end all processes below, and exit with the work's status."""
    code = 1
    try:
        parent_watch.set_process_name("cloche-super")
        _close_descriptors()
        code = os.waitstatus_to_exitcode(_status_of(work))
        _end_the_rest()
    finally:
        end_like(code)


def _close_descriptors() -> None:
    """Close inherited file descriptors, so that their other ends see when the work ends."""
    for number in _numbers_in("/proc/self/fd"):
        if number != _STDERR:
            with contextlib.suppress(OSError):
                os.close(number)


def _status_of(work: int) -> int:
    """Wait until the work ends, or end it when a signal asks for it; return its wait status."""
    end: float | None = None
    while True:
        received = _wait_for({signal.SIGCHLD, END, _ORPHANED}, end)
        if received == _ORPHANED:
            end = time.monotonic() + _ORPHANED_SECONDS
        elif received in (END, None):
            os.kill(work, signal.SIGKILL)
        for pid, status in _ended():
            if pid == work:
                return status


def _wait_for(numbers: set[int], end: float | None) -> int | None:
    """Wait for a signal and return it; None if none came until `end` (monotonic clock)."""
    if end is None:
        return signal.sigwaitinfo(numbers).si_signo
    received = signal.sigtimedwait(numbers, max(0.0, end - time.monotonic()))
    return None if received is None else received.si_signo


def _ended() -> Iterator[tuple[int, int]]:
    """Yield the id and wait status of each process below this one that has ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended


def _end_the_rest() -> None:
    """End every process below this one, by SIGTERM and then by SIGKILL."""
    asked = time.monotonic() + _ASKED_SECONDS
    if _has_children():
        _signal_all(signal.SIGTERM)
    while _has_children() and _wait_for({signal.SIGCHLD}, asked):
        pass
    killed = time.monotonic() + _KILLED_SECONDS
    while _has_children() and time.monotonic() < killed:
        _signal_all(signal.SIGKILL)  # repeated, for processes that were started meanwhile
        _wait_for({signal.SIGCHLD}, time.monotonic() + _POLL_SECONDS)


def _has_children() -> bool:
    """Whether a process below this one has not ended."""
    for _ in _ended():
        pass
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _signal_all(number: int) -> None:
    """Signal every process below this one, including those whose parent still lives."""
    below: dict[int, list[int]] = {}
    for pid in _numbers_in("/proc"):
        with contextlib.suppress(OSError):  # the process has ended
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            below.setdefault(int(status.rpartition(")")[2].split()[1]), []).append(pid)
    waiting = below.get(os.getpid(), [])
    while waiting:
        pid = waiting.pop()
        waiting += below.get(pid, [])
        with contextlib.suppress(OSError):  # the process has ended, or is another user's
            os.kill(pid, number)


def _numbers_in(folder: str) -> list[int]:
    """Return the numeric entries of a folder of /proc; none if /proc is not mounted."""
    try:
        return [int(entry) for entry in os.listdir(folder) if entry.isdecimal()]  # noqa: PTH208  # faster for thousands of entries
    except OSError:
        return []


def _end_by_signal(number: int) -> None:
    """End this process by the signal that ended the work, without a second core dump."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # SIGKILL has no handler
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
