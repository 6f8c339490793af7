"""HTTP servers that answer otherwise than a tracking server of today, or not at all."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.shell import free_port

PAGE = b"<!doctype html><html><title>404 Not Found</title><p>The URL was not found</html>"
PROMPTS = "mlflow.prompt.is_prompt` != 'true'"
_API = "/api/2.0/mlflow/"


class _Handler(BaseHTTPRequestHandler):
    """One request, given to the function of its server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        self.server.answer(self, self.rfile.read(size))  # type: ignore[attr-defined]

    def reply(self, status: int, body: bytes, kind: str = "text/html", **headers: str) -> None:
        self.send_response(status)
        given = {"content-type": kind, "content-length": str(len(body)), **headers}
        for name, value in given.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.answer)

Answer = Callable[[_Handler, bytes], None]


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The address of a server whose answers a function writes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.answer = answer  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def page(handler: _Handler, _: bytes) -> None:
    """What a log-in or a welcome page of something else is."""
    handler.reply(200, PAGE)


def bad_gateway(handler: _Handler, _: bytes) -> None:
    """What a proxy says while what it stands before is away."""
    handler.reply(502, PAGE)


def no_such_page(handler: _Handler, _: bytes) -> None:
    """What a proxy or another server says of MLflow's paths."""
    handler.reply(404, PAGE)


def nothing(handler: _Handler, _: bytes) -> None:
    """An answer without a body, which MLflow's client takes for an empty list."""
    handler.reply(200, b"", "application/json")


def drips(handler: _Handler, _: bytes) -> None:
    """A byte now and then, so that no timeout of a socket ever comes."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" ")
            threading.Event().wait(0.2)


def silent(handler: _Handler, _: bytes) -> None:
    """Nothing, for longer than anybody waits."""
    threading.Event().wait(3600)


@contextlib.contextmanager
def away() -> Iterator[str]:
    """The address of nobody."""
    yield f"http://127.0.0.1:{free_port()}"


@contextlib.contextmanager
def without_name() -> Iterator[str]:
    """A name that no resolver knows."""
    yield "http://registry.invalid:5000"


@contextlib.contextmanager
def without_tls() -> Iterator[str]:
    """A server that was not asked in its language."""
    with answering(page) as url:
        yield url.replace("http:", "https:")


@contextlib.contextmanager
def database_away() -> Iterator[str]:
    """A database that is not there."""
    yield f"postgresql+psycopg://somebody:hushed@127.0.0.1:{free_port()}/mlflow"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """A port that is open, behind which nobody takes connections any more."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        contextlib.ExitStack() as held,
    ):
        for _ in range(4):  # the queue of the system is full, and the next one waits
            one = held.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


# Every way in which a registry can be away.
AWAY: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "refused": away, "no name": without_name, "no TLS": without_tls, "no database": database_away,
    "black hole": black_hole, "silent": partial(answering, silent),
    "drips": partial(answering, drips), "page": partial(answering, page),
    "proxy": partial(answering, bad_gateway), "no page": partial(answering, no_such_page),
}  # fmt: skip


def nothing_to_list(old: "Old") -> Answer:
    """What a filter that nobody knows of makes of a server: lists without models."""

    def answer(handler: _Handler, body: bytes) -> None:
        if "registered-models/search" in handler.path:
            handler.reply(200, b"{}", "application/json")
        else:
            old(handler, body)

    return answer


class Old:
    """A tracking server as old ones answer, recorded from MLflow 1.30 and 2.9 to 2.20.

    They answer a filter on the tag of prompts with nothing, have no logged models, and tell what
    they have not by a page. 1.30 has no aliases, either.

    Attributes:
        aliases: whether it has aliases.
        asked: The paths of all requests, after `/api/2.0/mlflow/`.
    """

    def __init__(self, version: str, *, aliases: bool = True, models: tuple[str, ...] = ()) -> None:
        self.version = version
        self.aliases = aliases
        self.models = models
        self.asked: list[str] = []

    def __call__(self, handler: _Handler, body: bytes) -> None:
        address = urlsplit(handler.path)
        path = address.path.removeprefix(_API)
        self.asked.append(path)
        if address.path == "/version":
            handler.reply(200, self.version.encode())
            return
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        status, found = self._answer(path, query | (json.loads(body) if body else {}))
        if found is None:
            handler.reply(status, PAGE)
        else:
            handler.reply(status, json.dumps(found).encode(), "application/json")

    def _answer(self, path: str, asked: dict[str, str]) -> tuple[int, dict[str, Any] | None]:
        name = asked.get("name", "")
        absent = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"{name} not found"}
        if path == "registered-models/search":
            lists = PROMPTS not in asked.get("filter", "")
            return 200, {"registered_models": [self._model(one) for one in self.models if lists]}
        if path == "model-versions/search":
            return 200, {"model_versions": [self._version(one) for one in self.models]}
        if path in ("registered-models/get", "model-versions/get"):
            make = self._model if path.startswith("registered") else self._version
            kind = path.partition("s/")[0].replace("-", "_")
            return (200, {kind: make(name)}) if name in self.models else (404, absent)
        if path == "registered-models/alias" and self.aliases:
            return self._behind(name, asked["alias"])
        if path == "experiments/get-by-name":
            return 404, absent
        return 404, None

    def _behind(self, name: str, alias: str) -> tuple[int, dict[str, Any]]:
        if name in self.models:
            return 200, {"model_version": self._version(name)}
        message = f"Registered model alias {alias} not found."
        return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message}

    def _model(self, name: str) -> dict[str, Any]:
        aliases = [{"alias": "production", "version": "1"}] if self.aliases else []
        return {"name": name, "latest_versions": [self._version(name)], "aliases": aliases}

    def _version(self, name: str) -> dict[str, Any]:
        return {
            "name": name, "version": "1", "creation_timestamp": 0, "current_stage": "None",
            "source": f"/nowhere/{name}", "run_id": "", "status": "READY",
        }  # fmt: skip
