"""A fork server as a program without an event loop sees it: each call waits, and not for ever."""

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
    """The fork server has ended, and its forks with it, or it says nothing any more."""


class ForkRefused(Exception):
    """The fork server cannot fork; the message says why."""


class BlockingForkServer:
    """A fork server, and what it has told of its forks."""

    def __init__(self, program: Program, variables: Mapping[str, str], python: str = "") -> None:
        """Start one.

        Args:
            program: Whose imports are made ahead.
            variables: Of its environment, and so of its forks'.
            python: The interpreter; the one here if it is empty.
        """
        self._program = program
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            told = (str(theirs.fileno()), program)
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                launch.command("cloche.serving.forkserver", *told, python=python),
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=_STDERR,
                env=variables,
            )  # fmt: skip
        self._count = 0
        self._codes: dict[int, int] = {}

    def fork(self, end: socket.socket, needs: Sequence[str] = ()) -> int:
        """The process id of a fork that is the program.

        Args:
            end: Its end of a socket.
            needs: Modules that the fork server imports before, for this fork and later ones.

        Raises:
            ForkServerLost: There is no fork server any more.
            ForkRefused: The program cannot run here, or the machine has no room for it.
        """
        self._count += 1
        question = packet(fork=self._program, arguments=[], id=self._count, needs=list(needs))
        try:
            self._socket.settimeout(FORK_SECONDS)
            socket.send_fds(self._socket, [question], [end.fileno()])
        except OSError as error:
            raise ForkServerLost(str(error)) from error
        until = monotonic() + FORK_SECONDS
        while (told := self._hear(until)).get("id") != self._count:
            pass
        if "forked" not in told:
            raise ForkRefused(told.get("failed") or told["full"])
        pid: int = told["forked"]
        return pid

    def kill(self, pid: int) -> None:
        """End a fork at once: by its parent, which knows whether the id is still the fork's."""
        with contextlib.suppress(OSError):
            self._socket.send(packet(kill=pid))

    def code(self, pid: int, seconds: float) -> int | None:
        """How a fork ended, if it does within so many seconds."""
        until = monotonic() + seconds
        try:
            while pid not in self._codes:
                self._hear(until)
        except ForkServerLost:
            return -signal.SIGKILL if self._process.poll() is not None else None
        return self._codes.pop(pid)

    def close(self) -> None:
        """End it, and its forks with it."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _hear(self, until: float) -> dict[str, Any]:
        """What it says next.

        Raises:
            ForkServerLost: Nothing until then, or never again.
        """
        try:
            self._socket.settimeout(max(until - monotonic(), 0.001))
            data = self._socket.recv(PACKET)
        except OSError as error:  # a timeout is one
            raise ForkServerLost(str(error)) from error
        if not data:
            raise ForkServerLost("The process that forks workers has ended.")
        told = read(data)
        if "ended" in told:
            self._codes[told["ended"]] = told["code"]
        return told
