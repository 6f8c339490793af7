"""How worker processes start: as forks of a process that has imported what they need, or anew.

A fork is there at once, so that finding a row that kills workers costs no imports. Anew: on systems
where a process with imports cannot be forked safely.
"""

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from cloche import launch
from cloche.processes import supervisor
from cloche.serving.errors import JobFailed
from cloche.serving.forkserver.client import BlockingForkServer, ForkRefused, ForkServerLost
from cloche.serving.forkserver.protocol import Program

_STDERR = 2  # what a model prints must not get between the lines of a result
_FORKING = sys.platform == "linux"


class Process(Protocol):
    """A worker process.

    Attributes:
        pid: That of its supervisor (`cloche.processes.supervisor`).
    """

    pid: int

    def kill(self) -> None:
        """End it at once."""

    def code(self, seconds: float) -> int | None:
        """How it ended, if it does within so many seconds."""


class Starter(Protocol):
    """Starts worker processes.

    Attributes:
        quick: Whether one more costs next to nothing.
    """

    quick: bool

    def start(self, end: socket.socket, needs: Sequence[str] = ()) -> Process:
        """A worker that has this end of a socket.

        Args:
            end: The worker's.
            needs: Modules that workers before it turned out to need.

        Raises:
            JobFailed: None can be started.
        """

    def close(self) -> None:
        """Leave nothing behind."""


def starter(variables: Mapping[str, str], python: str = "", *, forking: bool = _FORKING) -> Starter:
    """What starts workers on this system.

    Args:
        variables: Of their environment.
        python: The interpreter; the one here if it is empty.
        forking: Whether they are forks.
    """
    return ForkStarter(variables, python) if forking else SpawnStarter(variables, python)


class ForkStarter:
    """Workers as forks; the process that they are forks of begins its imports at once."""

    quick = True

    def __init__(self, variables: Mapping[str, str], python: str) -> None:
        self._about = (Program.WORKER, variables, python)
        self._server = BlockingForkServer(*self._about)

    def start(self, end: socket.socket, needs: Sequence[str] = ()) -> Process:
        """See `Starter.start`."""
        try:
            return _Fork(self._server, self._server.fork(end, needs))
        except ForkServerLost:  # somebody killed it, and its forks with it: one more try
            self.close()
            self._server = BlockingForkServer(*self._about)
        except ForkRefused as error:
            raise _unstarted(error) from error
        try:
            return _Fork(self._server, self._server.fork(end))
        except (ForkServerLost, ForkRefused) as error:
            raise _unstarted(error) from error

    def close(self) -> None:
        """See `Starter.close`."""
        self._server.close()


class _Fork:
    """A worker that is a fork."""

    def __init__(self, server: BlockingForkServer, pid: int) -> None:
        self._server, self.pid = server, pid

    def kill(self) -> None:
        """See `Process.kill`."""
        self._server.kill(self.pid)

    def code(self, seconds: float) -> int | None:
        """See `Process.code`."""
        return self._server.code(self.pid, seconds)


class SpawnStarter:
    """Workers as processes that import for themselves."""

    quick = False

    def __init__(self, variables: Mapping[str, str], python: str) -> None:
        self._variables, self._python = variables, python

    def start(self, end: socket.socket, needs: Sequence[str] = ()) -> Process:  # noqa: ARG002
        """See `Starter.start`."""
        told = str(end.fileno())
        command = launch.command(
            "cloche.serving.batch.scoring.worker_process", told, python=self._python
        )
        try:
            process = subprocess.Popen(  # noqa: S603  # our own module
                command, pass_fds=(end.fileno(),), stdin=subprocess.DEVNULL, stdout=_STDERR,
                env=self._variables,
            )  # fmt: skip
        except OSError as error:
            raise _unstarted(error) from error
        return _Child(process)

    def close(self) -> None:
        """See `Starter.close`."""


class _Child:
    """A worker that was started anew."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process, self.pid = process, process.pid

    def kill(self) -> None:
        """See `Process.kill`."""
        supervisor.tell_to_end(self.pid)

    def code(self, seconds: float) -> int | None:
        """See `Process.code`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def _unstarted(error: Exception) -> JobFailed:
    return JobFailed(
        f"No worker can be started: {error}. What was done stays done; go on with --resume."
    )
