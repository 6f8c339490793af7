"""A client of a fork server for programs without an event loop: calls block, with a timeout."""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from cloche import launch
from cloche.serving.forkserver.protocol import FORK_SECONDS, PACKET, Program, packet, read

_STDERR = 2


class ForkServerLost(Exception):
    """The fork server has ended, and its forks with it, or it does not answer any more."""


class ForkRefused(Exception):
    """The fork server cannot fork; the message says why."""


class BlockingForkServer:
    """A fork server, and the exit codes that it has reported."""

    def __init__(self, program: Program, variables: Mapping[str, str], python: str = "") -> None:
        """Start a fork server."""
        self._program = program
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            arguments = (str(theirs.fileno()), program)
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                launch.command("cloche.serving.forkserver", *arguments, python=python),
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=_STDERR,
                env=variables,
            )  # fmt: skip
        self._count = 0
        self._codes: dict[int, int] = {}

    def fork(self, end: socket.socket, needs: Sequence[str] = ()) -> int:
        """Fork the program, and return the process ID of the fork.

        Raises:
            ForkServerLost: The fork server has ended, or does not answer in time.
            ForkRefused: The program cannot run here, or the machine has no room for it.
        """
        self._count += 1
        request = packet(fork=self._program, arguments=[], id=self._count, needs=list(needs))
        try:
            self._socket.settimeout(FORK_SECONDS)
            socket.send_fds(self._socket, [request], [end.fileno()])
        except OSError as error:
            raise ForkServerLost(str(error)) from error
        until = monotonic() + FORK_SECONDS
        while (reply := self._receive(until)).get("id") != self._count:
            pass
        if "forked" not in reply:
            raise ForkRefused(reply.get("failed") or reply["full"])
        pid: int = reply["forked"]
        return pid

    def kill(self, pid: int) -> None:
        """End a fork at once, by its parent, which knows whether the ID is still the fork's."""
        with contextlib.suppress(OSError):
            self._socket.send(packet(kill=pid))

    def code(self, pid: int, seconds: float) -> int | None:
        """The exit code of a fork; None if it does not end within `seconds`."""
        until = monotonic() + seconds
        try:
            while pid not in self._codes:
                self._receive(until)
        except ForkServerLost:
            return -signal.SIGKILL if self._process.poll() is not None else None
        return self._codes.pop(pid)

    def close(self) -> None:
        """End the fork server, and its forks with it."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _receive(self, until: float) -> dict[str, Any]:
        """The next message of the fork server.

        Raises:
            ForkServerLost: No message came before `until`, or the fork server has ended.
        """
        try:
            self._socket.settimeout(max(until - monotonic(), 0.001))
            data = self._socket.recv(PACKET)
        except OSError as error:  # also a timeout
            raise ForkServerLost(str(error)) from error
        if not data:
            raise ForkServerLost("The process that forks workers has ended.")
        reply = read(data)
        if "ended" in reply:
            self._codes[reply["ended"]] = reply["code"]
        return reply
