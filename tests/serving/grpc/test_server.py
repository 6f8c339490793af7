"""grpc's own client on the server: what it sends, takes back, waits for and packs."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import grpc
import pytest
import uvloop

from cloche.serving.errors import SettingsError
from cloche.serving.grpc import answers
from cloche.serving.grpc.answers import Call, Reply
from cloche.serving.grpc.server import run_server
from cloche.serving.settings import Settings
from cloche.serving.web.asgi import HttpError
from cloche.serving.web.authentication import Authentication
from cloche.serving.web.sockets import listen
from tests.lifecycle import floods

PATH = floods.INFER
LIVE = "/inference.GRPCInferenceService/ServerLive"
LIMIT = 16 * 1024 * 1024
SECONDS = 30.0
OK = grpc.StatusCode.OK
OWN = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]


@dataclass
class Echo:
    """A server in a thread: it answers a message with itself, unless that says `wait`."""

    settings: Settings
    keys: tuple[str, ...] = ()
    port: int = 0
    waiting: list[Call] = field(default_factory=list)
    seen: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def answer(self, call: Call) -> None:
        self.headers = call.headers
        if call.body == b"wait":
            self.waiting.append(call)
            self.seen.release()
        elif call.body == b"refuse":
            reply = answers.reply_to_error(HttpError(404, "", "nothing: ü\n100%"))
            call.end(reply._replace(metadata=(("x-a", b"1"),)))
        else:
            metadata = (("x-a", b"1"),)
            call.end(Reply(OK, message=call.body, metadata=metadata))

    def run(self, started: threading.Event) -> None:
        async def serve() -> None:
            self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
            listener = listen("127.0.0.1", 0)
            self.port = listener.getsockname()[1]
            async with run_server(self.settings, Authentication(self.keys), self.answer, listener):
                started.set()
                await self.ended.wait()

        uvloop.run(serve())

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)


@contextmanager
def running(keys: tuple[str, ...] = (), **settings: Any) -> Iterator[Echo]:
    chosen = {"max_body": LIMIT, "drain_timeout": 1.0, **settings}
    echo, started = Echo(Settings(models=("m",), **chosen), keys), threading.Event()
    thread = threading.Thread(target=echo.run, args=(started,))
    thread.start()
    assert started.wait(SECONDS)
    try:
        yield echo
    finally:
        echo.end()
        thread.join(SECONDS)
        assert not thread.is_alive()


@contextmanager
def talking(keys: tuple[str, ...] = (), **settings: Any) -> Iterator[tuple[Echo, grpc.Channel]]:
    """A server, and a client's channel to it."""
    with (
        running(keys, **settings) as echo,
        grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=OWN) as channel,
    ):
        yield echo, channel


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with running() as echo:
        yield echo


@pytest.fixture
def channel(echo: Echo) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=OWN) as channel:
        yield channel


def refused(call: Any, *arguments: Any, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=SECONDS, **options)
    return caught.value


@pytest.mark.parametrize("packing", grpc.Compression)
def test_a_message_of_any_size_comes_back_but_for_one_that_is_too_large(
    channel: grpc.Channel, packing: grpc.Compression
) -> None:
    ask = partial(channel.unary_unary(PATH), timeout=SECONDS, compression=packing)
    error = refused(channel.unary_unary(PATH), bytes(LIMIT + 1), compression=packing)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for size in (0, 1, 16_380, 65_536, 8_000_000):
        message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert ask(message) == message


def test_large_and_small_and_many_share_a_connection(channel: grpc.Channel) -> None:
    ask = channel.unary_unary(PATH)
    large = [ask.future(bytes(4_000_000), timeout=SECONDS) for _ in range(4)]
    messages = [bytes([at % 256]) * (at * 37 % 40_000) for at in range(600)]
    calls = [ask.future(message, timeout=SECONDS) for message in messages]
    assert [call.result() for call in calls] == messages
    assert [len(call.result()) for call in large] == [4_000_000] * 4


def test_no_call_of_a_client_that_keeps_to_the_limits_is_refused(echo: Echo) -> None:
    """By default grpcio counts ended calls until their memory is freed, and refuses others."""
    for _ in range(3):
        with grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=OWN) as channel:
            ask = channel.unary_unary(PATH)
            calls = [ask.future(b"x", timeout=SECONDS) for _ in range(1000)]
            assert {call.code() for call in calls} == {OK}


def test_metadata_go_both_ways(channel: grpc.Channel, echo: Echo) -> None:
    metadata = (("x-words", "some words"), ("x-raw-bin", bytes(range(256))))
    answer, call = channel.unary_unary(PATH).with_call(b"x", metadata=metadata, timeout=SECONDS)
    assert {(b"x-words", b"some words"), (b"x-raw-bin", bytes(range(256)))} <= {*echo.headers}
    assert ("x-a", "1") in tuple(call.trailing_metadata())
    assert answer == b"x"


def test_a_refusal_has_its_code_its_words_and_its_metadata(channel: grpc.Channel) -> None:
    error = refused(channel.unary_unary(PATH), b"refuse")
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "nothing: ü\n100%"
    assert ("x-a", "1") in tuple(error.trailing_metadata())


def test_words_are_cut_to_what_clients_take() -> None:
    text = answers.reply_to_error(HttpError(400, "", "é" * 100_000 + "\ud800")).text
    assert text == "é" * 1024


@pytest.mark.parametrize("messages", [[], [b"one", b"two"]], ids=len)
def test_a_call_that_streams_has_its_first_message_answered(
    channel: grpc.Channel, messages: list[bytes]
) -> None:
    ask = channel.stream_unary(PATH)
    if messages:
        assert ask(iter(messages), timeout=SECONDS) == b"one"
    else:
        assert refused(ask, iter([])).code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("how", ["cancel", "deadline", "close"])
def test_a_client_that_leaves_is_known_to_have_left(echo: Echo, how: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=OWN) as channel:
        timeout = 1.0 if how == "deadline" else 60
        future = channel.unary_unary(PATH).future(b"wait", timeout=timeout)
        assert echo.seen.acquire(timeout=SECONDS)
        call = echo.waiting.pop()
        assert call.is_active()
        assert call.time_limit < timeout + 1  # it is rounded up on the way
        if how == "cancel":
            future.cancel()
        elif how == "deadline":
            assert future.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    while call.is_active():  # ended by pytest's timeout, if never
        time.sleep(0.01)
    call.end(Reply(grpc.StatusCode.CANCELLED))


def test_a_client_may_ping_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default some pings within five minutes would end the connection."""
    monkeypatch.setattr("cloche.serving.grpc.server._SHORTEST_PING_SECONDS", 0.1)
    with (
        running() as echo,
        socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS) as client,
    ):
        client.sendall(floods.GREETING + floods.frame(floods.SETTINGS))
        client.sendall(next(floods.many_streams("")))
        ping = floods.frame(floods.PING, payload=b"a ping.!")
        for _ in range(10):
            client.sendall(ping)
            time.sleep(0.2)
        assert _received(client, floods.PING, 10)


def test_a_key_is_asked_for_before_a_message_is_taken() -> None:
    never = threading.Event()

    def messages() -> Iterator[bytes]:
        never.wait(SECONDS)
        yield b""

    with talking(("a-key",)) as (_, channel):
        error = refused(channel.stream_unary(PATH), messages())
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        never.set()
        assert channel.unary_unary(LIVE)(b"x", timeout=SECONDS) == b"x"


def test_a_call_with_more_headers_than_clients_may_send_is_refused_at_once() -> None:
    """A client that does not acknowledge the settings of grpcio may send 16 MiB of them."""
    with (
        running() as echo,
        socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS) as client,
    ):
        client.sendall(floods.GREETING + floods.frame(floods.SETTINGS))
        client.sendall(floods.opened(1, floods.head("", b"\x8f" * 600)))
        client.sendall(floods.frame(floods.DATA, floods.END_STREAM, 1, b"\0\0\0\0\1x"))
        assert _received(client, floods.HEADERS, 1) == [1]
        assert not echo.headers


def test_a_call_with_too_many_headers_is_told_so(channel: grpc.Channel) -> None:
    """Between 8 and 16 KiB grpcio refuses some itself, with the same status."""
    many = [("a", "b")] * 300
    errors = [refused(channel.unary_unary(PATH), b"x", metadata=many) for _ in range(20)]
    assert {error.code() for error in errors} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert any("more than 250 headers: send fewer" in error.details() for error in errors)
    assert channel.unary_unary(PATH)(b"x", metadata=many[:50], timeout=SECONDS) == b"x"


def test_probes_are_answered_while_all_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloche.serving.grpc.server._THREADS", 2)
    with running() as echo, grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=OWN) as channel:
        calls = [channel.unary_unary(PATH).future(b"wait", timeout=60) for _ in range(4)]
        assert all(echo.seen.acquire(timeout=SECONDS) for _ in range(2))
        assert channel.unary_unary(LIVE)(b"x", timeout=SECONDS) == b"x"
        for at in range(4):
            assert at < 2 or echo.seen.acquire(timeout=SECONDS)
            echo.waiting.pop(0).end(Reply(OK, message=b"x"))
        assert [call.result() for call in calls] == [b"x"] * 4


def test_more_calls_than_may_wait_are_refused_and_probes_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cloche.serving.grpc.server.ANSWER_HEADERS", [("x-served-by", "a test")])
    with talking(max_queue=2) as (echo, channel):
        calls = [channel.unary_unary(PATH).future(b"wait", timeout=60) for _ in range(2)]
        assert all(echo.seen.acquire(timeout=SECONDS) for _ in calls)
        error = refused(channel.unary_unary(PATH), b"x")
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details().endswith("than --max-queue allows: ask again later.")
        assert ("x-served-by", "a test") in tuple(error.trailing_metadata())
        assert channel.unary_unary(LIVE)(b"x", timeout=SECONDS) == b"x"  # or it would be restarted
        for call in echo.waiting:
            call.end(Reply(OK, message=b"x"))
        assert [call.result() for call in calls] == [b"x"] * 2
        assert channel.unary_unary(PATH)(b"x", timeout=SECONDS) == b"x"


@pytest.mark.parametrize(
    "limits",
    [{"client_timeout": 1.0}, {"max_queue_bytes": 2 * LIMIT}],
    ids=["too long", "too many"],
)
def test_messages_that_do_not_arrive_are_given_up(limits: dict[str, Any]) -> None:
    """A client has so much time, and so many clients at once may be slow."""
    with (
        running(**limits) as echo,
        socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS) as client,
    ):
        begun = islice(floods.many_streams(""), 4)
        client.sendall(floods.GREETING + floods.frame(floods.SETTINGS) + b"".join(begun))
        ended = 4 if "client_timeout" in limits else 2  # which two of them, the threads decide
        found = {*_received(client, floods.RST_STREAM, ended)}
        assert len(found) == ended
        assert found <= {1, 3, 5, 7}


def _received(client: socket.socket, kind: int, count: int) -> list[int]:
    """The streams of the first `count` frames of this kind that the server sends."""
    data, found = b"", list[int]()
    while len(found) < count:
        more = client.recv(65536)
        assert more, "the server ended the connection"
        data += more
        while len(data) >= 9 and len(data) >= (size := 9 + int.from_bytes(data[:3], "big")):
            if data[3] == kind:
                found.append(int.from_bytes(data[5:9], "big"))
            data = data[size:]
    return found


def test_running_calls_are_answered_at_the_end_and_later_ones_are_not() -> None:
    with talking(drain_timeout=SECONDS) as (echo, channel):
        call = channel.unary_unary(PATH).future(b"wait", timeout=60)
        assert echo.seen.acquire(timeout=SECONDS)
        echo.end()
        while (code := channel.unary_unary(PATH).future(b"x", timeout=SECONDS).code()) is OK:
            pass  # until it has begun to end
        assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        echo.waiting.pop().end(Reply(OK, message=b"at last"))
        assert call.result() == b"at last"


def test_calls_that_run_too_long_are_given_up_at_the_end() -> None:
    with running(drain_timeout=0.2) as echo:
        channel = grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=OWN)
        call = channel.unary_unary(PATH).future(b"wait", timeout=60)
        assert echo.seen.acquire(timeout=SECONDS)
    assert call.exception() is not None
    echo.waiting.pop().end(Reply(OK))  # a host that is late harms nobody
    channel.close()


def test_a_port_that_was_taken_in_between_is_told() -> None:
    async def open_at(taken: socket.socket) -> None:
        settings = Settings(models=("m",))
        async with run_server(settings, Authentication(), lambda _: None, taken):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SettingsError, match="Choose another --grpc-port"):
            asyncio.run(open_at(taken.dup()))
        asyncio.run(open_at(listen("127.0.0.1", 0)))


def test_threads_that_cannot_be_started_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, iter(range(100))

    def limited(self: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(self)

    async def open_it() -> None:
        async with run_server(
            Settings(models=("m",)), Authentication(), lambda _: None, listen("::1", 0)
        ):
            pass

    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", limited)
        with pytest.raises(SettingsError, match=r"needs 512 threads, .*: raise its limit"):
            asyncio.run(open_it())
    asyncio.run(open_it())


@pytest.mark.parametrize("flood", [floods.no_such_path, floods.bombs, floods.endless_headers])
def test_a_harmful_client_harms_nobody_else(echo: Echo, channel: grpc.Channel, flood: Any) -> None:
    ask = channel.unary_unary(PATH)
    with socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS) as client:
        parts = islice(flood(""), 2)
        client.sendall(floods.GREETING + floods.frame(floods.SETTINGS) + b"".join(parts))
        assert ask(b"x", timeout=SECONDS) == b"x"
        assert client.recv(65536)
    assert ask(b"x", timeout=SECONDS) == b"x"


def test_garbage_harms_nobody_else(echo: Echo, channel: grpc.Channel) -> None:
    ask = channel.unary_unary(PATH)
    with ThreadPoolExecutor(4) as threads:
        ends = threads.map(lambda at: garbage(echo, bytes([at]) * 1000), range(0, 256, 16))
        answers = [ask(b"%d" % at, timeout=SECONDS) for at in range(100)]
        assert all(ends)
    assert answers == [b"%d" % at for at in range(100)]


def garbage(echo: Echo, data: bytes) -> bool:
    """Whether the server ends a connection that sends `data`."""
    with socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS) as client:
        client.sendall(data)
        try:
            while client.recv(65536):
                pass
        except ConnectionResetError:
            pass
    return True
