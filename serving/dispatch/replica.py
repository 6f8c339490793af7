"""One model host as the front sees it: a process, a socket, and at most one pending request."""

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
_STOP_SECONDS = 5.0  # exit handlers get two of them
_KILL_SECONDS = 10.0  # longer than a supervisor takes
_DEATH_SECONDS = 3.0  # after its socket closed, as the processes that it started end first
_OUTPUT_SECONDS = 1.0
_logger = logging.getLogger(__name__)


class Replica:
    """A model host. Create one with `start`, `load` it once, then `score` one batch at a time.

    Attributes:
        broken_check: The failures of the host since its last check.
        pid: The host's process ID; that of its supervisor until it is loaded.
    """

    def __init__(
        self,
        process: Process,
        channel: Channel,
        output: tuple[asyncio.StreamReader, asyncio.ReadTransport],
        preload: Callable[[Sequence[str]], None],
        processes: Processes,
    ) -> None:
        self.broken_check = BrokenHostCheck()
        self.pid = process.pid
        # called with the slow imports of this host, so that later forks have them
        self._preload = preload
        self._add_fix = processes.add_fix
        self._end_tasks = processes.end_tasks
        self._process = process
        self._channel = channel
        self._label: dict[str, str] = {}
        self._last_line = ""
        lines, self._pipe = output
        self._output = asyncio.create_task(self._forward(lines))

    @classmethod
    async def start(cls, processes: Processes, environment: Path | None = None) -> "Replica":
        """Start a host without a version, by another environment's interpreter if one is given.

        Raises:
            HostFailed: The host cannot run in the front's environment.
            OSError: The host cannot be started now.
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
        preload = processes.preload if environment is None else _preload_nothing
        return cls(process, channel, (output, pipe), preload, processes)

    @property
    def lost(self) -> asyncio.Future[None]:
        """A future that is done when the host has closed its socket, whatever the cause."""
        return self._channel.lost

    def memory(self) -> int:
        """The resident memory of the host in bytes; 0 when it has ended."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def load(
        self, version: dict[str, Any], label: dict[str, str], time_limit: float
    ) -> dict[str, Any]:
        """Load a version, and return the host's description of it.

        Raises:
            HostFailed: The version did not load within `time_limit` seconds, or the host died.
        """
        self._label = label
        try:
            answer = await self._call(control(Kind.LOAD, version), time_limit)
        except BaseException:
            self.kill()  # a host that loads does not notice that its socket is closed
            raise
        return self._read_description(answer)

    async def complete(self, time_limit: float) -> dict[str, Any] | None:
        """Wait until the model is loaded as well, if the twin answers before it.

        Returns the host's new description of its version; None if `load` returned the final one, or
        if the host died.

        Raises:
            HostFailed: The model cannot be loaded, or not within `time_limit` seconds.
        """
        if self._channel.full_load is None:
            return None
        try:
            async with asyncio.timeout(time_limit):
                full_load = await asyncio.shield(self._channel.full_load)
        except TimeoutError as error:
            raise _timeout_error(time_limit, _LOAD_LIMIT) from error
        return None if full_load is None else self._read_description(full_load)

    def score(
        self, items: Sequence[Item], time_limit: float, done: Callable[[Result | HostFailed], None]
    ) -> None:
        """Have the host score `items`, and call `done` with the result.

        The result is the answers, as soon as they have arrived, or a failure: the host died, did
        not answer within `time_limit` seconds, or broke the protocol.
        """
        self._request(batch(items), time_limit, lambda frame: _read_result(frame, len(items)), done)

    def check(self, time_limit: float, done: Callable[[Result | HostFailed], None]) -> None:
        """Have the host score the version's input example again, and call `done` with the result.

        An error in the answer is a failure of the host: it had none when the version was loaded.
        """
        self._request(control(Kind.CHECK, {}), time_limit, _read_check, done)

    def _request(
        self, frame: bytes, time_limit: float, read: Callable[[Frame], Result | HostFailed],
        done: Callable[[Result | HostFailed], None],
    ) -> None:  # fmt: skip
        """Send a frame, and call `done` with the result that `read` makes of the answer."""

        def on_timeout() -> None:
            self._channel.forget()
            done(_timeout_error(time_limit, _PREDICT_LIMIT))

        def on_answer(answer: Frame | None) -> None:
            timer.cancel()
            done(HostFailed("The host ended.") if answer is None else read(answer))

        timer = asyncio.get_running_loop().call_later(time_limit, on_timeout)
        self._channel.send(frame, on_answer)

    async def stop(self) -> None:
        """End the host and the processes it started: by closing the socket, then by force."""
        self._channel.close()
        if not await self._ends_within(_STOP_SECONDS):
            self.kill()
            if not await self._ends_within(_KILL_SECONDS):
                _logger.error("A host cannot be ended.", extra={**self._label, "pid": self.pid})
        # a process that could not be ended may keep the pipe open
        await asyncio.wait([self._output], timeout=_OUTPUT_SECONDS)
        self._pipe.close()

    def stop_later(self) -> None:
        """Stop the host in the background; the server waits for that before it ends."""
        self._end_tasks.start(self.stop())

    def kill(self) -> None:
        """End the host at once, with the processes that it started."""
        kill(self._process)

    async def end_reason(self) -> str:
        """The reason why the host ended, once its socket is closed."""
        if not await self._ends_within(_DEATH_SECONDS):
            return "The host closed its socket."
        code = self._process.returncode or 0
        if code >= 0:
            await asyncio.wait([self._output], timeout=_OUTPUT_SECONDS)
            last_line = f" Its last line: {self._last_line}" if self._last_line else ""
            return f"The host exited with code {code}.{last_line}"
        number = signal.Signals(-code)
        cause = "out of memory?" if number is signal.SIGKILL else number.name
        return f"The host was killed by signal {number} ({cause})."

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def _read_description(self, frame: Frame) -> dict[str, Any]:
        """The host's description of the version that it has loaded.

        Raises:
            HostFailed: The host cannot load the version.
        """
        kind, payload = frame
        message = Channel.read_control(payload)
        if kind in (Kind.READY, Kind.TWIN_READY):
            self._preload(message["imports"])
            self.pid = message["pid"]
            return message
        raise HostFailed(self._add_fix(message.get("reason", "The host answered out of turn.")))

    async def _call(self, frame: bytes, time_limit: float) -> Frame:
        answered: asyncio.Future[Frame | None] = asyncio.get_running_loop().create_future()

        def on_answer(answer: Frame | None) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._channel.send(frame, on_answer)
        try:
            async with asyncio.timeout(time_limit):
                answer = await answered
        except TimeoutError as error:
            raise _timeout_error(time_limit, _LOAD_LIMIT) from error
        if answer is None:
            raise HostFailed(await self.end_reason())
        return answer

    async def _forward(self, output: asyncio.StreamReader) -> None:
        """Copy the output of the model and its libraries to the server's log."""
        while line := await _read_line(output):
            text = line.decode(errors="replace").rstrip()
            if text:
                level, text = log_levels.read(text)
                self._last_line = self._add_fix(text)
                _logger.log(level, "%s", self._last_line, extra={**self._label, "pid": self.pid})


def _preload_nothing(_: Sequence[str]) -> None:
    """Ignore the modules of a host in another environment: the front's may not have them."""


def _timeout_error(seconds: float, limit: str) -> HostSilent:
    return HostSilent(f"The host said nothing for {seconds:g} s ({limit}).")


def _read_check(frame: Frame) -> Result | HostFailed:
    """The answers to the input example, or a failure if one of them is an error."""
    result = _read_result(frame)
    if isinstance(result, Result) and any(one.status != _OK for one in result.answers):
        return HostFailed(
            "The host answers the version's own input example with an error, and did not when it "
            "was loaded: something in it is broken."
        )
    return result


def _read_result(frame: Frame, count: int | None = None) -> Result | HostFailed:
    """The answers to `count` items in a frame, or a failure if the frame is wrong."""
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


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # the line is longer than the stream's buffer, which is empty now
        return b"(a line that is too long)\n"
