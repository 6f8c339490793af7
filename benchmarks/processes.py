"""Servers as processes: started, waited for, measured, and ended with all that they started."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from benchmarks.errors import NotServing

_END_SECONDS = 30.0
_LOG_LINES = 15
_LINE_LENGTH = 400


class Server:
    """A process and all that it started, in a group of their own."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the process that was started first."""
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until `condition` holds.

        Raises:
            NotServing: The process ended, or `seconds` were not enough.
        """
        end = time.monotonic() + seconds
        while not condition():
            if (code := self._process.poll()) is not None:
                raise NotServing(f"It ended with code {code}.\n{self.last_lines()}")
            if time.monotonic() > end:
                raise NotServing(f"{seconds:g} s were not enough.\n{self.last_lines()}")
            time.sleep(0.02)

    def wait(self, seconds: float) -> int:
        """The exit code of a command that ends by itself.

        Raises:
            NotServing: `seconds` were not enough.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise NotServing(f"{seconds:g} s were not enough.\n{self.last_lines()}") from error

    def check(self) -> None:
        """Notice that it ended.

        Raises:
            NotServing: It did.
        """
        if (code := self._process.poll()) is not None:
            raise NotServing(f"It ended with code {code} under load.\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Of its log."""
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(line[:_LINE_LENGTH] for line in lines)

    def end(self) -> None:
        """Ask it to end; then end whatever is left of its group."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    """A server that is ended however the block is left."""
    server = Server(command, environment, log)
    try:
        yield server
    finally:
        server.end()


def tree(parent: int) -> list[int]:
    """A process and all below it."""
    found, waiting = [], [parent]
    while waiting:
        process = waiting.pop()
        with contextlib.suppress(OSError):  # it may end while we look
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            found.append(process)
    return found


def mebibytes(parent: int) -> float:
    """PSS of a process and all below it: pages that they share are counted once."""
    total = 0
    for process in tree(parent):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def answers(url: str) -> bool:
    """Whether something answers 200 there."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
