"""Starts worker processes, as forks of a process that has imported their modules, or as new ones.

A fork starts at once, so that the search for a row that kills workers repeats no imports. New
processes are for systems where a process with imports cannot be forked safely.
"""

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from cloche import launch
from cloche.processes import supervisor
from cloche.serving.errors import RESUME, JobFailed
from cloche.serving.forkserver.client import BlockingForkServer, ForkRefused, ForkServerLost
from cloche.serving.forkserver.protocol import Program

_STDERR = 2  # the prints of a model must not mix with the output on stdout
_FORKING = sys.platform == "linux"


def starter(
    variables: Mapping[str, str], python: str = "", *, twin_alone: bool = False,
    forking: bool = _FORKING,
) -> "ForkStarter | SpawnStarter":  # fmt: skip
    """Return the starter of workers for this system.

    Args:
        variables: The environment variables of workers.
        python: The interpreter; empty for the current one.
        twin_alone: Whether workers are expected to begin with the twin alone.
        forking: Whether workers are forks.
    """
    if not forking:
        return SpawnStarter(variables, python)
    return ForkStarter(variables, python, Program.TWIN_WORKER if twin_alone else Program.WORKER)


class ForkStarter:
    """Starts workers as forks of a fork server, which begins its imports at once.

    Attributes:
        quick: Whether a start takes almost no time.
    """

    quick = True

    def __init__(self, variables: Mapping[str, str], python: str, program: Program) -> None:
        self._about = (program, variables, python)
        self._server = BlockingForkServer(*self._about)

    def start(self, end: socket.socket, needs: Sequence[str] = ()) -> "_Fork":
        """Start a worker that is connected to the engine by a socket.

        Raises:
            JobFailed: The worker cannot be started.
        """
        try:
            return _Fork(self._server, self._server.fork(end, needs))
        except ForkServerLost:  # it was killed with its forks: start another one and try once more
            self.close()
            self._server = BlockingForkServer(*self._about)
        except ForkRefused as error:
            raise _unstarted(error) from error
        try:
            return _Fork(self._server, self._server.fork(end))
        except (ForkServerLost, ForkRefused) as error:
            raise _unstarted(error) from error

    def close(self) -> None:
        """End the processes that the starter itself runs."""
        self._server.close()


class _Fork:
    """A worker that is a fork of the fork server.

    Attributes:
        pid: The process id of the worker's supervisor (`cloche.processes.supervisor`).
    """

    def __init__(self, server: BlockingForkServer, pid: int) -> None:
        self._server, self.pid = server, pid

    def kill(self) -> None:
        """End the process at once."""
        self._server.kill(self.pid)

    def code(self, seconds: float) -> int | None:
        """Wait for the end of the process; return the exit code, or None after a timeout."""
        return self._server.code(self.pid, seconds)


class SpawnStarter:
    """Starts workers as new processes, which do their own imports."""

    quick = False

    def __init__(self, variables: Mapping[str, str], python: str) -> None:
        self._variables, self._python = variables, python

    def start(self, end: socket.socket, needs: Sequence[str] = ()) -> "_Child":  # noqa: ARG002
        """See `ForkStarter.start`."""
        descriptor = str(end.fileno())
        command = launch.command(
            "cloche.serving.batch.scoring.worker_process", descriptor, python=self._python
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
        """See `ForkStarter.close`."""


class _Child:
    """A worker that is a new process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process, self.pid = process, process.pid

    def kill(self) -> None:
        """See `_Fork.kill`."""
        supervisor.request_end(self.pid)

    def code(self, seconds: float) -> int | None:
        """See `_Fork.code`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


Process = _Fork | _Child
Starter = ForkStarter | SpawnStarter


def _unstarted(error: Exception) -> JobFailed:
    return JobFailed(f"No worker can be started: {error}. {RESUME}")
