"""The routes of a cloud before an application: what passes, what is translated or refused."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from cloche.serving.cloud_contract import Contract, Translation
from cloche.serving.clouds.routes import CloudRoutes
from cloche.serving.web.asgi import HttpError, client_left, respond

CONTRACT = Contract(
    predict_path="/p:predict",
    health_path="/h",
    pages={"/told": b"{}"},
    dialect=lambda asked, body, names: Translation(
        "application/json", b"<%b>" % body, (lambda answer: (b"text/x", answer.upper()))
        if asked.accept == "text/x" else None,
    ),
)  # fmt: skip


class App:
    """An application that answers with what it was asked."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.left: bool | None = None

    async def __call__(self, scope, receive, send) -> None:
        try:
            message = await receive()
        except HttpError as error:
            await respond(send, error.status, error.code.encode(), headers=error.headers)
            return
        self.left = client_left(receive)
        seen = {"path": scope["path"], "body": message["body"].decode()}
        seen |= {name.decode(): value.decode() for name, value in scope["headers"]}
        await respond(send, self.status, json.dumps(seen).encode())


class Client:
    """Whoever asks; its `receive` knows whether it left, as that of uvicorn does."""

    def __init__(self, body: bytes, *, left: bool = False) -> None:
        self.body = body
        self.disconnected = left

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self.body}


def ask(
    path: str, body: bytes = b"rows", *, method: str = "POST", app: App | None = None,
    left: bool = False, **headers: str,
) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
    """The status, the headers and the body of an answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": lines}
    routes = CloudRoutes(app or App(), CONTRACT, list, max_body=50, time_limit=1.0)
    asyncio.run(routes(scope, Client(body, left=left).receive, send))
    start, content = sent
    found = {name.decode(): text.decode() for name, text in start["headers"]}
    return start["status"], found, content["body"]


@pytest.mark.parametrize("left", [True, False])
def test_a_prediction_is_translated_and_asked_where_all_are(left):
    headers = {"content_type": "text/csv", "content_length": "4", "x_request_id": "7"}
    _, _, body = ask("/p:predict", app=(app := App()), left=left, **headers)
    assert json.loads(body) == {
        "path": "/invocations", "body": "<rows>", "x-request-id": "7",
        "content-type": "application/json", "content-length": "6",
    }  # fmt: skip
    assert app.left is left, "the application knows whether the client left"


def test_an_answer_is_written_as_it_was_asked_for():
    _, headers, body = ask("/p:predict", accept="text/x", accept_encoding="gzip")
    assert headers == {"content-type": "text/x", "content-length": str(len(body))}
    assert b'"ACCEPT": "TEXT/X"' in body
    assert b"ENCODING" not in body  # the application must not pack what is rewritten


def test_a_refusal_is_left_in_the_form_of_the_protocol():
    status, headers, body = ask("/p:predict", app=App(400), accept="text/x")
    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(body)["path"] == "/invocations"


def test_a_packed_body_is_unpacked():
    _, _, body = ask("/p:predict", gzip.compress(b"rows", mtime=0), content_encoding="gzip")
    assert json.loads(body)["body"] == "<rows>"
    assert "content-encoding" not in json.loads(body)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 51, {}, 413),
        (gzip.compress(b"x" * 51, mtime=0), {"content_encoding": "gzip"}, 413),
        (b"rows", {"content_encoding": "gzip"}, 400),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(body, headers, status):
    assert ask("/p:predict", body, **headers)[0] == status


@pytest.mark.parametrize(("method", "headers"), [("PUT", {}), ("POST", {"content_encoding": "br"})])
def test_what_the_application_refuses_anyway_is_not_read(method, headers):
    _, _, body = ask("/p:predict", method=method, **headers)
    assert json.loads(body)["body"] == "rows"


def test_a_page_of_the_cloud_is_told_and_health_is_that_of_the_application():
    assert ask("/told", method="GET") == (
        200, {"content-type": "application/json", "content-length": "2"}, b"{}",
    )  # fmt: skip
    assert json.loads(ask("/h", method="GET")[2])["path"] == "/ping"


@pytest.mark.parametrize(
    ("path", "method"), [("/metrics", "GET"), ("/told", "POST"), ("/h", "POST")]
)
def test_everything_else_is_the_business_of_the_application(path, method):
    assert json.loads(ask(path, method=method)[2])["path"] == path
