"""Both clients, against a real server: answers, refusals, crowds, deadlines and death."""

import gzip
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pandas as pd
import pytest

from cloche.client import (
    AnswerTooLarge,
    Client,
    DeadlineExceeded,
    NotServed,
    Overloaded,
    Prediction,
    Retries,
    RowsRefused,
    ServerFailed,
    Unauthenticated,
    Unreachable,
)
from cloche.serving.client.request_state import RequestState
from tests.broken_servers import answering
from tests.lifecycle.registry import Registry
from tests.online import Server, serving, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("client")]

ONCE = Retries(attempts=1)
ROW = [{"a": 0.0}]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("client"))
    registry.register("", "", "is slow")
    registry.promote("2")
    return registry


@pytest.fixture(scope="module")
def server(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a model, a slow one, and one that never serves; with a short queue."""
    empty = tmp_path_factory.mktemp("empty")
    with serving(
        *("models:/m@production", f"slow={registry.artifacts('3')}", f"broken={empty}"),
        *("--max-queue", "1", "--max-batch-rows", "1"),
        directory=registry.directory,
        environment={"MLFLOW_TRACKING_URI": registry.uri},
    ) as server:
        wait_for(lambda: server.state("m").get("ready") and server.state("slow").get("ready"))
        yield server


def test_an_answer_says_what_made_it(ask, server):
    answer = ask(server.url, ROW, model="m")
    assert (answer.values, answer.model, answer.version) == ([2], "m", "2")
    assert answer.request_id


def test_a_frame_comes_back_with_its_index(ask, server):
    frame = pd.DataFrame({"a": [0.0, 1.0]}, index=["x", "y"])
    answer = ask(server.url, frame, model="m").frame()
    pd.testing.assert_frame_equal(answer, pd.DataFrame({"prediction": [2, 2]}, index=["x", "y"]))


@pytest.mark.parametrize(
    ("rows", "code", "says", "columns", "row"),
    [
        ([{"a": 0.0}, {"a": "many"}], "BAD_REQUEST", "expected double", ("a",), 1),
        (pd.DataFrame({"b": [1.0]}), "INVALID_PARAMETER_VALUE", "lacks column 'a'", ("a",), None),
        ([{"a": -3.0}], "BAD_REQUEST", "The model failed", (), None),
    ],
    ids=["a wrong value", "a missing column", "what the model refuses"],
)
def test_rows_that_are_refused_name_their_column_and_row(
    *, ask, server, rows, code, says, columns, row
):
    with pytest.raises(RowsRefused, match=says) as told:
        ask(server.url, rows, model="m")
    assert (told.value.columns, told.value.row) == (columns, row)
    assert (told.value.status, told.value.code) == (400, code)


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"model": "m", "version": "1"}, "is not loaded"), ({"model": "o"}, "of this name")],
)
def test_what_is_not_served_is_told(ask, server, asked, says):
    with pytest.raises(NotServed, match=says):
        ask(server.url, ROW, retries=ONCE, **asked)


def test_a_model_that_cannot_answer_now_is_overload_with_a_time_to_come_back(ask, server):
    with pytest.raises(Overloaded) as told:
        ask(server.url, ROW, model="broken", retries=ONCE)
    assert (told.value.status, told.value.retry_after) == (503, 1.0)
    with pytest.raises(Overloaded):  # which says why to who cannot wait as long
        ask(server.url, ROW, model="broken", timeout=0.5)


def crowd(ask, server: Server, retries: Retries) -> list[Prediction | Exception]:
    """What six that ask the slow model at once are told."""

    def one(_: int) -> Prediction | Exception:
        try:
            return ask(server.url, ROW, model="slow", retries=retries, timeout=60)
        except Overloaded as error:
            return error

    with ThreadPoolExecutor(6) as threads:
        return list(threads.map(one, range(6)))


def test_a_crowd_is_told_to_come_back_and_served_when_it_does(ask, server):
    refused = [told for told in crowd(ask, server, ONCE) if isinstance(told, Overloaded)]
    assert refused
    assert {told.status for told in refused} == {429}
    assert all(told.retry_after >= 1 for told in refused)
    told = crowd(ask, server, Retries(attempts=20, first=1.0))
    assert [one.values for one in told] == [[3]] * 6


def test_nobody_waits_longer_than_the_deadline(ask, server):
    with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        ask(server.url, ROW, model="slow", timeout=0.2)


@pytest.fixture(scope="module")
def guarded(registry: Registry, tmp_path_factory) -> Iterator[Server]:
    """A server that asks for a key, and is killed by the last test."""
    directory = tmp_path_factory.mktemp("guarded")
    path = registry.artifacts("1")
    with serving(
        f"m={path}", directory=directory, environment={"CLOCHE_API_KEYS": "open sesame"}
    ) as server:
        yield server.wait_until_ready()


def test_a_key_opens_and_connections_are_used_again(ask, guarded):
    with pytest.raises(Unauthenticated):
        ask(guarded.url, ROW)
    assert ask(guarded.url, ROW, api_key="open sesame").values == [1]
    before = len(connections(guarded))
    with Client(guarded.url, api_key="open sesame") as client:
        for _ in range(5):
            client.predict(ROW)
        assert len(connections(guarded)) == before + 1


def connections(server: Server) -> list[str]:
    """The open connections to the server's port, as Linux lists them from the client's side."""
    port = f"{int(server.url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return [row[1] for row in rows if row[2].endswith(f":{port}") and row[3] == "01"]


def test_a_server_that_was_killed_is_unreachable(guarded):
    with Client(guarded.url, api_key="open sesame", retries=Retries(attempts=2)) as client:
        client.predict(ROW)
        guarded.process.send_signal(signal.SIGKILL)
        guarded.process.wait(60)
        with pytest.raises(Unreachable, match="after 2 attempts"):
            client.predict(ROW)


@pytest.fixture
def flaky() -> Iterator[tuple[str, list[str]]]:
    """A server that hangs up, then has no replica, then answers; and the ids that it was sent."""
    seen: list[str] = []

    def answer(handler: Any, _: bytes) -> None:
        seen.append(handler.headers["x-request-id"])
        if len(seen) == 1:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        else:
            handler.reply(503 if len(seen) == 2 else 200, b'{"predictions": [7]}')

    with answering(answer) as url:
        yield url, seen


def test_one_question_is_asked_until_it_is_answered(ask, flaky):
    url, seen = flaky
    assert ask(url, ROW).values == [7]
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_a_proxy_that_speaks_otherwise_is_understood():
    from cloche.serving.client.errors import error_of_response

    error = error_of_response(500, b"<h1>Oops</h1>", "id", None)
    assert isinstance(error, ServerFailed)
    assert not isinstance(error_of_response(403, b"not for you", "id", None), Unauthenticated)
    assert str(error) == "<h1>Oops</h1>"


WHOLE = b'{"predictions": [1, 2]}'


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_answer_that_is_too_large_is_not_read_to_its_end(ask, encoding):
    parts = []

    class Endless(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(1000):
                parts.append(1)
                part = b"[" * 100_000
                yield gzip.compress(part) if encoding == "gzip" else part

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self:
                yield part

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-encoding": encoding}, stream=Endless())

    with pytest.raises(AnswerTooLarge, match=r"50000 bytes.*max_answer"):
        ask("http://x", ROW, max_answer=50_000, transport=httpx2.MockTransport(answer))
    assert len(parts) == 1


def test_an_answer_that_takes_too_long_to_be_decoded_is_too_late(ask, monkeypatch):
    read = RequestState.read_response

    def slowly(
        self: RequestState, response: httpx2.Response, body: bytearray, now: float
    ) -> object:
        outcome = read(self, response, body, now)
        self.started -= 31  # as if decoding had taken that long
        return outcome

    monkeypatch.setattr(RequestState, "read_response", slowly)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=WHOLE))
    with pytest.raises(DeadlineExceeded):
        ask("http://x", ROW, transport=transport)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"garbage", Unreachable),
        (gzip.compress(WHOLE)[:10] + b"\xff" * 40, Unreachable),
        (gzip.compress(WHOLE)[:-12], ServerFailed),
        (gzip.compress(WHOLE[:9]) + gzip.compress(WHOLE[9:]), ServerFailed),
    ],
    ids=["no gzip", "damaged", "cut short", "several members"],
)
def test_a_packed_answer_that_cannot_be_read_whole_is_an_error(ask, body, error):
    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx2.Response(200, headers=headers, content=body)

    with pytest.raises(error):
        ask("http://x", ROW, retries=ONCE, transport=httpx2.MockTransport(answer))
