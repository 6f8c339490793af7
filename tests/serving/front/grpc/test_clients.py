"""grpc's own client on the transport: what it sends, takes back, waits for and packs."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest
import uvloop

from cloche.serving.front.grpc import call as calls
from cloche.serving.front.grpc import frames, session
from cloche.serving.front.grpc.call import Refused, Status
from cloche.serving.front.grpc.connection import Connection
from cloche.serving.front.grpc.house import House
from cloche.serving.front.grpc.session import Session
from cloche.serving.front.grpc.stream import Stream
from tests.serving.front.grpc.talking import PATH

LIMIT = 16 * 1024 * 1024
SECONDS = 30.0


@dataclass
class Echo:
    """A door in a thread: it answers a message with itself, unless that says `wait`."""

    port: int = 0
    waiting: list[Stream] = field(default_factory=list)
    seen: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    metadata: list[tuple[bytes, bytes]] = field(default_factory=list)

    def serve(self, stream: Stream, body: bytes) -> None:
        self.metadata = stream.call.scope["headers"]
        try:
            message = calls.message(stream.call, body, LIMIT)
        except Refused as error:
            stream.refuse(calls.closing(error.refusal.status, error.refusal.told))
            return
        if message == b"wait":
            self.waiting.append(stream)
            self.seen.release()
        elif message == b"refuse":
            stream.refuse(calls.closing(Status.NOT_FOUND, "nothing: ü\n100%", [(b"x-a", b"1")]))
        else:
            stream.answer(message, calls.closing(Status.OK, "", [(b"x-a", b"1")]))

    def run(self, started: threading.Event) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            self.ended = asyncio.Event()
            self.house = House(
                implements=lambda _: True, admits=lambda _: True, serve=self.serve, message=LIMIT,
                unfinished=8 * LIMIT, connections=100, patience=SECONDS, clock=self.loop.time,
            )  # fmt: skip
            server = await self.loop.create_server(lambda: Connection(self.house), "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await self.ended.wait()
            server.close()
            await self.house.close(1.0)

        uvloop.run(serve())


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    echo, started = Echo(), threading.Event()
    thread = threading.Thread(target=echo.run, args=(started,))
    thread.start()
    assert started.wait(SECONDS)
    yield echo
    echo.loop.call_soon_threadsafe(echo.ended.set)
    thread.join(SECONDS)
    assert not thread.is_alive()


@pytest.fixture
def channel(echo: Echo) -> Iterator[grpc.Channel]:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=unlimited) as channel:
        yield channel


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_536, 1_000_000, 8_000_000])
def test_a_message_of_any_size_comes_back(channel: grpc.Channel, size: int) -> None:
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert channel.unary_unary(PATH)(message, timeout=SECONDS) == message


@pytest.mark.parametrize("packing", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_messages_may_be_packed(channel: grpc.Channel, packing: grpc.Compression) -> None:
    message = b"again and " * 100_000
    assert channel.unary_unary(PATH)(message, timeout=SECONDS, compression=packing) == message


def test_a_message_that_is_too_large_is_refused_and_the_next_is_not(channel: grpc.Channel) -> None:
    ask = channel.unary_unary(PATH)
    with pytest.raises(grpc.RpcError) as caught:
        ask(bytes(LIMIT + 1), timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ask(b"small", timeout=SECONDS) == b"small"


def test_many_calls_at_once_get_their_own_answers(channel: grpc.Channel) -> None:
    ask = channel.unary_unary(PATH)
    messages = [bytes([at % 256]) * (at * 37 % 40_000) for at in range(600)]
    calls = [ask.future(message, timeout=SECONDS) for message in messages]
    assert [call.result() for call in calls] == messages


def test_large_and_small_share_a_connection(channel: grpc.Channel) -> None:
    ask = channel.unary_unary(PATH)
    large = [ask.future(bytes(4_000_000), timeout=SECONDS) for _ in range(4)]
    assert ask(b"small", timeout=SECONDS) == b"small"
    assert [len(call.result()) for call in large] == [4_000_000] * 4


def test_metadata_go_both_ways(channel: grpc.Channel, echo: Echo) -> None:
    metadata = (("x-words", "some words"), ("x-raw-bin", bytes(range(256))))
    answer, call = channel.unary_unary(PATH).with_call(b"x", metadata=metadata, timeout=SECONDS)
    assert (b"x-words", b"some words") in echo.metadata
    assert ("x-a", "1") in tuple(call.trailing_metadata())
    assert answer == b"x"


def test_a_refusal_has_its_code_its_words_and_its_metadata(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(PATH)(b"refuse", timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "nothing: ü\n100%"
    assert ("x-a", "1") in tuple(caught.value.trailing_metadata())


@pytest.mark.parametrize("how", ["cancel", "deadline", "close"])
def test_a_client_that_leaves_is_known_to_have_left(echo: Echo, how: str) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=options) as channel:
        call = channel.unary_unary(PATH).future(b"wait", timeout=1.0 if how == "deadline" else 60)
        assert echo.seen.acquire(timeout=SECONDS)
        stream = echo.waiting.pop()
        assert not stream.has_left()
        if how == "cancel":
            call.cancel()
        elif how == "deadline":
            assert stream.call.timeout < 2.0  # rounded up on the way
            assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    while not stream.has_left():  # ended by pytest's timeout, if never
        threading.Event().wait(0.01)


def test_a_client_may_ping_while_it_waits(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    pinged = threading.Semaphore(0)

    def counted(session: Session, frame: frames.Frame) -> None:
        Session._take_ping(session, frame)
        pinged.release()

    monkeypatch.setitem(session._TAKERS, frames.PING, counted)
    options = [
        ("grpc.keepalive_time_ms", 100), ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]  # fmt: skip
    with grpc.insecure_channel(f"127.0.0.1:{echo.port}", options=options) as channel:
        call = channel.unary_unary(PATH).future(b"wait", timeout=SECONDS)
        assert echo.seen.acquire(timeout=SECONDS)
        assert all(pinged.acquire(timeout=SECONDS) for _ in range(3))
        ending = calls.closing(Status.OK)
        echo.loop.call_soon_threadsafe(echo.waiting.pop().answer, b"at last", ending)
        assert call.result() == b"at last"


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
