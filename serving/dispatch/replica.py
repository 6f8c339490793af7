"""One model host as the front sees it: a process, a socket, and at most one question on its way."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cloche.serving.dispatch.broken_host_check import BrokenHostCheck
from cloche.serving.dispatch.host_channel import Channel, Frame
from cloche.serving.errors import HostFailed, HostSilent
from cloche.serving.forkserver.protocol import Program
from cloche.serving.host import log_levels
from cloche.serving.processes.frames import (
    Item,
    Kind,
    ProtocolError,
    Result,
    batch,
    control,
    read_result,
)
from cloche.serving.processes.launcher import Process, Processes, kill

_OK = 200
_LOAD_LIMIT = "--load-timeout"
_PREDICT_LIMIT = "--predict-timeout; where that is not set, --request-timeout"
_STOP_SECONDS = 5.0  # of which exit handlers have two
_KILL_SECONDS = 10.0  # more than a supervisor takes
_DEATH_SECONDS = 3.0  # from the end of its socket, for what it started ends first
_OUTPUT_SECONDS = 1.0
_logger = logging.getLogger(__name__)


class Replica:
    """A model host. Make one with `start`, `load` it once, then `score` one batch at a time.

    Attributes:
        doubt: What is known against it.
        pid: The host's process id; that of its supervisor until it is loaded.
    """

    def __init__(
        self,
        process: Process,
        channel: Channel,
        output: tuple[asyncio.StreamReader, asyncio.ReadTransport],
        learn: Callable[[Sequence[str]], None],
        processes: Processes,
    ) -> None:
        self.doubt = BrokenHostCheck()
        self.pid = process.pid
        self._learn = learn
        self._explained = processes.explained
        self._ends = processes.ends
        self._process = process
        self._channel = channel
        self._label: dict[str, str] = {}
        self._said = ""
        lines, self._pipe = output
        self._output = asyncio.create_task(self._forward(lines))

    @classmethod
    async def start(cls, processes: Processes, environment: Path | None = None) -> "Replica":
        """Start a host that serves nothing yet.

        Args:
            processes: Who starts it.
            environment: The interpreter of another environment than the front's.

        Raises:
            HostFailed: It cannot run in the front's environment.
            OSError: It does not start now.
        """
        ours, theirs = socket.socketpair()
        readable, writable = os.pipe()
        output = asyncio.StreamReader()
        with contextlib.ExitStack() as undone:
            undone.callback(ours.close)
            with theirs, os.fdopen(writable, "wb", buffering=0) as printed:
                pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
                    lambda: asyncio.StreamReaderProtocol(output),
                    os.fdopen(readable, "rb", buffering=0),
                )
                undone.callback(pipe.close)
                process = await (
                    processes.start(Program.HOST, theirs, output=printed.fileno())
                    if environment is None
                    else processes.start_host_in(environment, theirs, output=printed.fileno())
                )
            undone.callback(kill, process)
            ours.setblocking(False)
            _, channel = await asyncio.get_running_loop().create_connection(Channel, sock=ours)
            undone.pop_all()
        learn = processes.learn if environment is None else _learn_nothing
        return cls(process, channel, (output, pipe), learn, processes)

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
        try:
            answer = await self._ask(control(Kind.LOAD, version), patience)
        except BaseException:
            self.kill()  # it would go on with its load, and not hear that it is to stop
            raise
        return self._loaded(answer)

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
            raise _silent(patience, _LOAD_LIMIT) from error
        return None if news is None else self._loaded(news)

    def score(
        self, items: Sequence[Item], patience: float, done: Callable[[Result | HostFailed], None]
    ) -> None:
        """Have `items` scored, and `done` told.

        It gets the answers as soon as they have arrived, or that the host died, said nothing for
        `patience` seconds, or broke the protocol.
        """
        self._hear(batch(items), patience, lambda frame: _result(frame, len(items)), done)

    def check(self, patience: float, done: Callable[[Result | HostFailed], None]) -> None:
        """Have the version's own input example scored again, and `done` told.

        It gets a failure of the host if that answers with an error: it did not when it was loaded.
        """
        self._hear(control(Kind.CHECK, {}), patience, _checked, done)

    def _hear(
        self, frame: bytes, patience: float, read: Callable[[Frame], Result | HostFailed],
        done: Callable[[Result | HostFailed], None],
    ) -> None:  # fmt: skip
        """Send a frame, and tell `done` what is read from the one that answers it."""

        def too_late() -> None:
            self._channel.forget()
            done(_silent(patience, _PREDICT_LIMIT))

        def heard(answer: Frame | None) -> None:
            timer.cancel()
            done(HostFailed("The host ended.") if answer is None else read(answer))

        timer = asyncio.get_running_loop().call_later(patience, too_late)
        self._channel.ask(frame, heard)

    async def stop(self) -> None:
        """End the host and what it started: ask by closing the socket, then insist."""
        self._channel.close()
        if not await self._ends_within(_STOP_SECONDS):
            self.kill()
            if not await self._ends_within(_KILL_SECONDS):
                _logger.error("A host cannot be ended.", extra={**self._label, "pid": self.pid})
        # a process that nobody could end may hold it open
        await asyncio.wait([self._output], timeout=_OUTPUT_SECONDS)
        self._pipe.close()

    def stop_later(self) -> None:
        """The same in the background; the server waits for it before it ends itself."""
        self._ends.start(self.stop())

    def kill(self) -> None:
        """End the host at once, with what it started."""
        kill(self._process)

    async def death(self) -> str:
        """How the host ended, after its socket was closed."""
        if not await self._ends_within(_DEATH_SECONDS):
            return "The host closed its socket."
        code = self._process.returncode or 0
        if code >= 0:
            await asyncio.wait([self._output], timeout=_OUTPUT_SECONDS)
            said = f" Its last line: {self._said}" if self._said else ""
            return f"The host exited with code {code}.{said}"
        number = signal.Signals(-code)
        cause = "out of memory?" if number is signal.SIGKILL else number.name
        return f"The host was killed by signal {number} ({cause})."

    async def _ends_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _loaded(self, frame: Frame) -> dict[str, Any]:
        """What the host says of the version that it was told to load.

        Raises:
            HostFailed: It cannot load it.
        """
        kind, payload = frame
        message = Channel.read_control(payload)
        if kind in (Kind.READY, Kind.EARLY):
            self._learn(message["imports"])
            self.pid = message["pid"]
            return message
        raise HostFailed(self._explained(message.get("reason", "The host answered out of turn.")))

    async def _ask(self, frame: bytes, patience: float) -> Frame:
        heard: asyncio.Future[Frame | None] = asyncio.get_running_loop().create_future()

        def hear(answer: Frame | None) -> None:
            if not heard.done():
                heard.set_result(answer)

        self._channel.ask(frame, hear)
        try:
            answer = await asyncio.wait_for(heard, patience)
        except TimeoutError as error:
            raise _silent(patience, _LOAD_LIMIT) from error
        if answer is None:
            raise HostFailed(await self.death())
        return answer

    async def _forward(self, output: asyncio.StreamReader) -> None:
        """What the model and its libraries print becomes lines of the server's log."""
        while line := await _line(output):
            text = line.decode(errors="replace").rstrip()
            if text:
                level, text = log_levels.read(text)
                self._said = self._explained(text)
                _logger.log(level, "%s", self._said, extra={**self._label, "pid": self.pid})


def _learn_nothing(_: Sequence[str]) -> None:
    """A host of another environment says nothing of what the front's has."""


def _silent(seconds: float, limit: str) -> HostSilent:
    return HostSilent(f"The host said nothing for {seconds:g} s ({limit}).")


def _checked(frame: Frame) -> Result | HostFailed:
    """The answers to the input example, or that it gets none any more."""
    result = _result(frame)
    if isinstance(result, Result) and any(one.status != _OK for one in result.answers):
        return HostFailed(
            "It answers requests with errors, and by now the version's own input example, "
            "too, which it answered when it was loaded: something in it is broken."
        )
    return result


def _result(frame: Frame, count: int | None = None) -> Result | HostFailed:
    """The answers to `count` items in a frame, or what is wrong with it."""
    kind, payload = frame
    if kind is not Kind.RESULT:
        return HostFailed(f"The host answered a batch with {kind.name}.")
    try:
        result = read_result(payload)
    except ProtocolError as error:
        return HostFailed(f"The host broke the protocol. {error}")
    if count is not None and len(result.answers) != count:
        return HostFailed(f"The host gave {len(result.answers)} answers to {count} items.")
    return result


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # longer than the stream's buffer, which then is empty again
        return b"(a line that is too long)\n"
