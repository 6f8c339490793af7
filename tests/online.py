"""What tests need to run a real server.

A registry to steer, a process to kill, and clients that count.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests import shell, warm

COMMAND = Path(sys.executable).parent / "cloche"
START_SECONDS = 180.0
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def wait_for(condition: Callable[[], Any], seconds: float = START_SECONDS) -> Any:
    """What `condition` returns as soon as it is true; fails after `seconds`."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        if value := condition():
            return value
        time.sleep(min(0.05 + waited / 10, 0.25))  # a look takes a core's time from what it is for
    raise AssertionError(f"waited {seconds:g} s in vain")


@dataclass
class Server:
    """A running `cloche serve`."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""
    key: str = ""

    def get(self, path: str, **options: Any) -> requests.Response:
        if self.key:
            options["headers"] = {
                "Authorization": f"Bearer {self.key}",
                **options.get("headers", {}),
            }
        return requests.get(self.url + path, timeout=30, **options)

    def predict(
        self, value: float = 0, path: str = "/invocations", **options: Any
    ) -> requests.Response:
        body = {"dataframe_records": [{"a": value}]}
        return requests.post(self.url + path, json=body, timeout=60, **options)

    def get_predictions(self, body: dict[str, Any]) -> list[Any]:
        """The predictions for a request body."""
        response = requests.post(f"{self.url}/invocations", json=body, timeout=60)
        assert response.status_code == 200, response.text
        predictions: list[Any] = response.json()["predictions"]
        return predictions

    def version(self, model: str = "m") -> str | None:
        return self.state(model)["version"]

    def state(self, model: str = "m") -> dict[str, Any]:
        return self.get("/readyz").json()["models"].get(model, {"version": None, "problem": None})

    def wait_until_ready(self) -> "Server":
        try:
            wait_for(lambda: self.get("/readyz").status_code == 200)
        except AssertionError as error:
            state, log = self.get("/readyz").text, self.log.read_text()
            raise AssertionError(f"{error}: {state}\n{log}") from None
        return self

    def wait_for_version(self, version: str, model: str = "m") -> None:
        wait_for(lambda: self.version(model) == version)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of `name` that have these labels."""
        total = 0.0
        for line in self.get("/metrics").text.splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if labels.items() <= found.items():
                    total += float(match[3])
        return total

    def grpc_address(self) -> str:
        """Where it listens for gRPC, if it was started with a port for that."""
        address: str = wait_for(lambda: _logged(self, "Listening for gRPC on "))
        return address

    def hosts(self) -> list[int]:
        """Process ids of the model hosts."""
        return children(self.process.pid, "cloche-host")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def is_running(pid: int) -> bool:
    """Whether there is a process of this id that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def started(folder: Path) -> list[int]:
    """What still runs of the processes whose ids name the files `PID.pid` in a folder."""
    return [int(path.stem) for path in folder.glob("*.pid") if is_running(int(path.stem))]


def children(ancestor: int, name: str) -> list[int]:
    """Process ids of what descends from `ancestor` and has this name, or runs this module."""
    found, parents = [], {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not entry.name.isdecimal():
                continue
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(status[1])
            known = (entry / "comm").read_text().strip() == name
            if (known or name in (entry / "cmdline").read_text().split("\0")) and status[0] != "Z":
                found.append(int(entry.name))

    parents |= {fork: program for fork, program in warm.stand_ins().items() if fork in parents}

    def descends(pid: int) -> bool:
        return pid == ancestor or (pid in parents and descends(parents[pid]))

    return [pid for pid in found if pid != ancestor and descends(pid)]


@contextlib.contextmanager
def serving(
    *arguments: str,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = ("serve", "--port", "0"),
    program: Path | None = None,
) -> Iterator[Server]:
    """A server on a free port, ended however the test goes. It listens, and need not be ready.

    A test that looks at the server's processes names the real program, `COMMAND`.
    """
    log = directory / "server.log"
    cache = {"XDG_CACHE_HOME": str(directory / "cache")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                str(program or warm.programs() / "cloche"),
                *command, "--poll-interval", "0.4", *arguments,
            ],
            stdout=output, stderr=output, cwd=directory,
            env=shell.environment() | cache | dict(environment or {}),
        )  # fmt: skip
    server = Server(process, log)
    try:
        server.url = wait_for(lambda: _url(server))
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"It does not end.\n{log.read_text()[-3000:]}") from None
            finally:
                process.kill()


@contextlib.contextmanager
def running_program(command: Sequence[str | Path], url: str, **options: Any) -> Iterator[None]:
    """Have a program run that answers at an address, and end it however the test goes."""
    process = subprocess.Popen(command, **options)
    try:
        wait_for(lambda: shell.answers(url))
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def cloud_storage() -> Iterator[str]:
    """The address of an empty Google Cloud Storage."""
    port, quiet = shell.free_port(), subprocess.DEVNULL
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--in-memory"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running_program(command, f"{url}/storage/v1/b?project=p", stdout=quiet, stderr=quiet):
        yield url


@contextlib.contextmanager
def tracking_server(
    store: str,
    directory: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
) -> Iterator[str]:
    """The address of `mlflow server` before a store, ended however the test goes.

    It is the one beside an interpreter, whose programs it starts in turn. The seven processes that
    it starts for jobs of its own, which nobody here asks of it, take three times its own time.
    """
    port, log = shell.free_port(), directory / "mlflow.log"
    variables = shell.environment() | NO_JOBS | dict(environment or {})
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(python, "-m", "mlflow", "server", "--port", str(port)),
                *("--workers", "1", "--backend-store-uri", store, *arguments),
            ],
            stdout=output, stderr=output, cwd=directory, start_new_session=True,
            env=variables | {"PATH": f"{python.parent}{os.pathsep}{variables['PATH']}"},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        return shell.answers(f"{url}/health")

    try:
        wait_for(answers)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # old ones leave what they started behind
        process.wait(60)


def _url(server: Server) -> str | None:
    assert server.process.poll() is None, server.log.read_text()
    return _logged(server, "Listening on ")


def _logged(server: Server, beginning: str) -> str | None:
    """What follows the beginning of a message in the server's log."""
    for line in server.log.read_text().splitlines():
        message: str = json.loads(line)["message"] if line.startswith("{") else ""
        if message.startswith(beginning):
            return message.removeprefix(beginning)
    return None


@dataclass
class Load:
    """Clients that ask again at once, or after a pause, and count what they got."""

    server: Server
    clients: int = 8
    pause: float = 0.04  # with less, clients take the cores from what they wait for
    path: str = "/invocations"
    body: dict[str, Any] = field(default_factory=lambda: {"dataframe_records": [{"a": 0}]})
    check: Callable[[requests.Response], bool] = lambda response: response.status_code == 200
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        return self.outcomes.total()

    def wait_for_more(self, count: int) -> None:
        """Wait until `count` more requests were answered."""
        wanted = self.answered + count
        wait_for(lambda: self.answered >= wanted)

    def _ask(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # else each request looks for proxies anew
            url = self.server.url + self.path
            request = session.prepare_request(requests.Request("POST", url, json=self.body))
            while not self._stop.wait(self.pause):
                try:
                    response = session.send(request, timeout=60)
                except requests.RequestException as error:
                    self.failures.append(repr(error))
                    continue
                self.outcomes[response.headers.get("x-model-version", "")] += 1
                if not self.check(response):
                    self.failures.append(f"{response.status_code} {response.text}")
