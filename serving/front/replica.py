"""One model host as the front sees it: a process, a socket, and at most one question on its way."""

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.errors import HostFailed
from serving.front.channel import Channel, Frame
from serving.front.tasks import Tasks
from serving.host.frames import Item, Kind, ProtocolError, Result, batch, control, read_result
from serving.host.threads import sized

_STOP_SECONDS = 5.0
_logger = logging.getLogger(__name__)


class Replica:
    """A model host. Make one with `start`, `load` it once, then `score` one batch at a time."""

    def __init__(self, process: Process, channel: Channel) -> None:
        self._process = process
        self._channel = channel
        self._label: dict[str, str] = {}
        self._deaths = Tasks()
        self._output = asyncio.create_task(self._forward_output())

    @classmethod
    async def start(
        cls, *, python: Path | None = None, threads: int = 1, search: Path | None = None
    ) -> "Replica":
        """Spawn a host that serves nothing yet.

        Args:
            python: The interpreter of its environment; by default the front's.
            threads: Its share of the cores.
            search: Where that interpreter finds the host's code, if it is not installed there.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                str(python or sys.executable), "-m", "serving.host", str(theirs.fileno()),
                pass_fds=(theirs.fileno(),), env=_environment(os.environ, threads, search),
                stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=STDOUT,
            )  # fmt: skip
        ours.setblocking(False)
        _, channel = await asyncio.get_running_loop().create_connection(Channel, sock=ours)
        return cls(process, channel)

    @property
    def pid(self) -> int:
        """The host's process id."""
        return self._process.pid

    @property
    def lost(self) -> asyncio.Future[None]:
        """Done when the host closed its socket, whatever the cause."""
        return self._channel.lost

    def memory(self) -> int:
        """Bytes that the host occupies; 0 when it is gone."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def load(
        self, version: dict[str, Any], label: dict[str, str], patience: float
    ) -> dict[str, Any]:
        """Load a version; what the host says of it.

        Args:
            version: What the host is told: the path of its artifacts, and how to load them.
            label: What the host's lines in the log are marked with.
            patience: Seconds it may take.

        Raises:
            HostFailed: It did not load within `patience` seconds, or died of it.
        """
        self._label = label
        return _loaded(await self._ask(control(Kind.LOAD, version), patience))

    async def complete(self, patience: float) -> dict[str, Any] | None:
        """Wait until the model is there as well, where the twin answers before it.

        What the host then says of its version; None if it said all when it was loaded, or died.

        Args:
            patience: Seconds it may take.

        Raises:
            HostFailed: The model cannot be loaded, or not within `patience` seconds.
        """
        if self._channel.news is None:
            return None
        try:
            news = await asyncio.wait_for(asyncio.shield(self._channel.news), patience)
        except TimeoutError as error:
            raise _silent(patience) from error
        return None if news is None else _loaded(news)

    def score(
        self, items: Sequence[Item], patience: float, done: Callable[[Result | HostFailed], None]
    ) -> None:
        """Have `items` scored, and `done` told.

        It gets the answers as soon as they have arrived, or that the host died, said nothing for
        `patience` seconds, or broke the protocol.
        """

        def too_late() -> None:
            self._channel.forget()
            done(_silent(patience))

        def heard(frame: Frame | None) -> None:
            timer.cancel()
            if frame is None:
                self._deaths.start(self._tell_death(done))
            else:
                done(_result(frame, len(items)))

        timer = asyncio.get_running_loop().call_later(patience, too_late)
        self._channel.ask(batch(items), heard)

    async def stop(self) -> None:
        """End the host: ask by closing the socket, then insist."""
        self._channel.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await self._output

    def kill(self) -> None:
        """End the host at once."""
        if self._process.returncode is None:
            self._process.kill()

    async def _ask(self, frame: bytes, patience: float) -> Frame:
        heard: asyncio.Future[Frame | None] = asyncio.get_running_loop().create_future()

        def hear(answer: Frame | None) -> None:
            if not heard.done():
                heard.set_result(answer)

        self._channel.ask(frame, hear)
        try:
            answer = await asyncio.wait_for(heard, patience)
        except TimeoutError as error:
            raise _silent(patience) from error
        if answer is None:
            raise HostFailed(await self._death())
        return answer

    async def _tell_death(self, done: Callable[[HostFailed], None]) -> None:
        done(HostFailed(await self._death()))

    async def _death(self) -> str:
        try:
            code = await asyncio.wait_for(self._process.wait(), 1.0)
        except TimeoutError:
            return "The host closed its socket."
        return (
            f"The host was killed by signal {-code}."
            if code < 0
            else f"The host exited with code {code}."
        )

    async def _forward_output(self) -> None:
        """What the model and its libraries print becomes lines of the server's log."""
        assert self._process.stdout is not None  # noqa: S101  # it was asked for as a pipe
        while line := await _line(self._process.stdout):
            text = line.decode(errors="replace").rstrip()
            if text:
                _logger.info("%s", text, extra={**self._label, "pid": self.pid})


def _loaded(frame: Frame) -> dict[str, Any]:
    """What a host says of the version that it was told to load.

    Raises:
        HostFailed: It cannot load it.
    """
    kind, payload = frame
    message = Channel.read_control(payload)
    if kind in (Kind.READY, Kind.EARLY):
        return message
    raise HostFailed(message.get("reason", "The host answered out of turn."))


def _silent(seconds: float) -> HostFailed:
    return HostFailed(f"The host said nothing for {seconds:g} s.")


def _result(frame: Frame, count: int) -> Result | HostFailed:
    """The answers to `count` items in a frame, or what is wrong with it."""
    kind, payload = frame
    if kind is not Kind.RESULT:
        return HostFailed(f"The host answered a batch with {kind.name}.")
    try:
        result = read_result(payload)
    except ProtocolError as error:
        return HostFailed(f"The host broke the protocol. {error}")
    if len(result.answers) != count:
        return HostFailed(f"The host gave {len(result.answers)} answers to {count} items.")
    return result


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # longer than the stream's buffer, which then is empty again
        return b"(a line that is too long)\n"


def _environment(base: Mapping[str, str], threads: int, search: Path | None) -> dict[str, str]:
    found = {"PYTHONPATH": str(search)} if search else {}
    return {**base, **sized(base, threads), **found, "PYTHONUNBUFFERED": "1"}
