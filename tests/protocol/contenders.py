"""The two servers that are compared: MLflow's, and `cloche serve`."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
import requests
from mlflow.models.flavor_backend_registry import get_flavor_backend

from tests import warm
from tests.online import Server, serving, wait_for
from tests.protocol.bodies import Body, bodies_for
from tests.shell import answers, environment, free_port


class Replies(NamedTuple):
    """What both servers answered to the same bytes."""

    body: Body
    mlflow: requests.Response
    cloche: requests.Response

    def __repr__(self) -> str:
        return f"{self.body}\n  MLflow {_told(self.mlflow)}\n  Cloche {_told(self.cloche)}"


def _told(response: requests.Response) -> str:
    return f"{response.status_code}: {response.text[:300]}"


@dataclass
class Contenders:
    """MLflow's application for each kind, and one server of Cloche for all of them.

    Attributes:
        mlflow: The address where MLflow answers for a kind.
        cloche: The other one.
    """

    mlflow: dict[str, str]
    cloche: Server
    _replies: dict[str, list[Replies]] = field(default_factory=dict)

    def replies(self, kind: str) -> list[Replies]:
        """What both answer to every body for this kind; asked once."""
        if kind not in self._replies:
            ours = f"{self.cloche.url}/models/{kind}/invocations"
            theirs = f"{self.mlflow[kind]}/invocations"
            self._replies[kind] = [
                Replies(body, post(theirs, body), post(ours, body)) for body in bodies_for(kind)
            ]
        return self._replies[kind]


def post(url: str, body: Body) -> requests.Response:
    """The answer, on a connection of its own: MLflow's server hangs up after some errors."""
    content_type, content = body
    headers = {"content-type": content_type} if content_type else {}
    return requests.post(url, content, headers=headers, timeout=60)


@contextmanager
def contenders(zoo: Path, kinds: Sequence[str], directory: Path) -> Iterator[Contenders]:
    """Both servers with the models of `kinds`, started side by side and ready."""
    named = [f"{kind}={zoo / kind}" for kind in kinds]
    log, ports = directory / "mlflow.log", directory / "ports.json"
    with ExitStack() as stack:
        stock = stack.enter_context(_stock([zoo / kind for kind in kinds], ports, log))
        named += ["--poll-interval", "3600"]  # it follows nothing
        ours = stack.enter_context(serving(*named, directory=directory)).wait_until_ready()
        wait_for(lambda: ports.exists() or _ended(stock, log))
        found = zip(kinds, json.loads(ports.read_text()), strict=True)
        addresses = {kind: f"http://127.0.0.1:{port}" for kind, port in found}
        for address in addresses.values():
            wait_for(partial(_pings, stock, address, log))
        yield Contenders(addresses, ours)


@contextmanager
def _stock(models: Sequence[Path], ports: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What `mlflow models serve` runs for each of the models, in one process; see `stock.py`."""
    program = Path(__file__).with_name("stock.py")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [warm.python(), program, ports, *models],
            env=environment(), stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _ended(process: subprocess.Popen[bytes], log: Path | None = None) -> bool:
    """Fail with what the server said last if it has ended."""
    if process.poll() is not None:
        pytest.fail(f"MLflow's server ended\n{log.read_text()[-2000:] if log else ''}")
    return False


def _pings(process: subprocess.Popen[bytes], url: str, log: Path | None = None) -> bool:
    return not _ended(process, log) and answers(f"{url}/ping")


@dataclass
class MlflowServer:
    """A running `mlflow models serve`."""

    process: subprocess.Popen[bytes]
    url: str

    def is_ready(self) -> bool:
        return _pings(self.process, self.url)


@contextmanager
def mlflow_server(path: Path) -> Iterator[MlflowServer]:
    """A server as `mlflow models serve --env-manager local` starts it.

    It is asked for through the function that the command calls once it has read its options, which
    spares each server the seconds in which the command imports MLflow.
    """
    port = free_port()
    backend = get_flavor_backend(str(path), env_manager="local", workers=1)
    with patch.dict(os.environ, environment()):  # it looks for uvicorn in the path
        process = backend.serve(
            str(path), port=port, host="127.0.0.1", timeout=60, synchronous=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield MlflowServer(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(60)
