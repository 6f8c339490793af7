"""Server processes: their start, the wait for them, their memory, and the end of all children."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from benchmarks.errors import NotServing

_END_SECONDS = 30.0
_READY_SECONDS = 300.0
_LOG_LINES = 15
_LINE_LENGTH = 400


def path_of(python: Path) -> str:
    """Return a PATH on which MLflow finds the programs of an interpreter, such as uvicorn."""
    return f"{python.parent}{os.pathsep}{os.environ['PATH']}"


class Server:
    """A process and its children, in a process group of their own."""

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
        """The id of the process, and of its process group."""
        return self._process.pid

    @property
    def age(self) -> float:
        """The seconds since the start of the process."""
        return time.monotonic() - self._started

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until `condition` holds.

        Raises:
            NotServing: The process ended, or the timeout of `seconds` has passed.
        """
        end = time.monotonic() + seconds
        while not condition():
            if (code := self._process.poll()) is not None:
                raise NotServing(f"It ended with code {code}.\n{self.last_lines()}")
            if time.monotonic() > end:
                raise NotServing(f"{seconds:g} s were not enough.\n{self.last_lines()}")
            time.sleep(0.02)

    def wait(self, seconds: float) -> int:
        """Wait for the end of a command that ends by itself; return its exit code.

        Raises:
            NotServing: The timeout of `seconds` has passed.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise NotServing(f"{seconds:g} s were not enough.\n{self.last_lines()}") from error

    def check(self) -> None:
        """Check that the process is still running.

        Raises:
            NotServing: The process has ended.
        """
        if (code := self._process.poll()) is not None:
            raise NotServing(f"It ended with code {code} under load.\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of the log."""
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(line[:_LINE_LENGTH] for line in lines)

    def end(self) -> None:
        """Send SIGTERM to the process; after its end, or 30 s, send SIGKILL to its group."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Run a server during the block, and end it also after an exception."""
    server = Server(command, environment, log)
    try:
        yield server
    finally:
        server.end()


@contextmanager
def serving(
    command: list[str], variables: Mapping[str, str], folder: Path, ready: str
) -> Iterator[Server]:
    """Run a server during the block, which begins when `ready` answers.

    Args:
        command: The command line.
        variables: Environment variables besides those of this process.
        folder: The folder for the server's log and cache.
        ready: The URL that answers when the server can predict.
    """
    own = {"XDG_CACHE_HOME": str(folder), "PATH": path_of(Path(sys.executable))}
    environment = {**os.environ, **own, **variables}
    with running(command, environment, folder / "server.log") as server:
        server.wait_until(lambda: answers(ready), _READY_SECONDS)
        yield server


@contextmanager
def mlflow_server(store: str, folder: Path, **variables: str) -> Iterator[tuple[Server, str]]:
    """Run an MLflow server with one worker on a store; yield it and its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)),
        *("--backend-store-uri", store),
    ]
    with serving(command, variables, folder, f"{url}/health") as server:
        yield server, url


def tree(parent: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    found, waiting = [], [parent]
    while waiting:
        process = waiting.pop()
        with contextlib.suppress(OSError):  # a process may end during the search
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            found.append(process)
    return found


def mebibytes(parent: int) -> float:
    """Return the total PSS of a process and its descendants, in MiB; shared pages count once."""
    total = 0
    for process in tree(parent):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def answers(url: str) -> bool:
    """Whether a GET request to the URL is answered with a status below 400."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
