"""The gRPC server: its sockets, its limits, and the threads that pass calls to the event loop.

grpcio reads HTTP/2 in threads of its own, without the interpreter lock. Each call gets a thread of
a pool, which receives the message, waits for the event loop's answer, and sends it.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else clients can fill the log
import grpc

from cloche.serving.errors import SettingsError
from cloche.serving.grpc.answers import METHODS, PROBES, Call, Reply, reply_to_error
from cloche.serving.settings import Settings
from cloche.serving.web.answer_headers import ANSWER_HEADERS
from cloche.serving.web.asgi import HttpError
from cloche.serving.web.authentication import Authentication
from cloche.serving.web.sockets import authority

_THREADS = 512  # calls received, predicted or sent at the same time; others wait
_PROBE_THREADS = 4  # they answer probes and refuse calls while all others wait for models
_PROBES_AT_ONCE = 64  # calls accepted beyond --max-queue, so that probes get through
_STREAMS = 100  # concurrent calls of a connection, so that one does not take all threads
_ENDED_STREAMS = 200  # of a connection beyond _STREAMS: ended calls whose memory is not yet freed
_MOST_HEADERS = 250  # of a call: more of them exceed 8 KiB, from where on grpcio refuses at random
_IDLE_SECONDS = 75
_AGE_SECONDS = 3600  # maximum of a connection: clients must not leave answers unread for ever
_SHORTEST_PING_SECONDS = 5  # clients ping every 10 seconds or more
_TICK_SECONDS = 0.5
_FULL = Reply(
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "More calls are waiting than --max-queue allows: ask again later.",
)
_LONG_HEAD = Reply(
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    f"The call has more than {_MOST_HEADERS} headers: send fewer.",
)
_logger = logging.getLogger(__name__)
# This logger writes a traceback, with the value, for each header that is not UTF-8.
logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)


@contextlib.asynccontextmanager
async def run_server(
    settings: Settings,
    access: Authentication,
    answer: Callable[[Call], None],
    listener: socket.socket,
) -> AsyncIterator[None]:
    """Answer calls for as long as the context lasts, then finish running calls.

    Args:
        settings: The settings of the server, with its limits and the drain timeout.
        access: The check of API keys.
        answer: Answers a call, in the event loop.
        listener: A socket that has reserved the port; grpcio opens its own on that port.

    Raises:
        SettingsError: Another process took the port in between, or there are too few threads.
    """
    with listener:
        calls = Calls(settings, access, answer)
        host, port = listener.getsockname()[:2]
    address = authority(host, port)
    server = grpc.server(
        calls.threads, handlers=[calls], options=_options(settings),
        maximum_concurrent_rpcs=settings.max_queue + _PROBES_AT_ONCE,
    )  # fmt: skip
    try:
        if settings.tls_certificate and settings.tls_key:
            pair = settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes()
            server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        else:
            server.add_insecure_port(address)
    except RuntimeError as error:
        raise SettingsError(
            f"Cannot listen on {address}: something else does. Choose another --grpc-port."
        ) from error
    server.start()
    _logger.info("Listening for gRPC on %s", address)
    slow = asyncio.create_task(calls.cancel_slow_calls())
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop(settings.drain_timeout).wait)
        slow.cancel()
        await calls.close()


class Calls(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Receives calls in threads, and sends the answers of the event loop."""

    def __init__(
        self, settings: Settings, access: Authentication, answer: Callable[[Call], None]
    ) -> None:
        self._access = access
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._scheme = "https" if settings.tls_certificate else "http"
        self._time_limit = settings.client_timeout
        self._most_calls = settings.max_queue
        self._most_slow = max(1, settings.max_queue_bytes // settings.max_body)
        self._receiving: dict[Any, float] = {}  # contexts, in the order in which they began
        self._waiting: set[Future[Reply]] = set()
        self.threads = _running_threads(_THREADS, "grpc")
        self._probe_threads = _running_threads(_PROBE_THREADS, "grpc-probe")
        self._probes = {path: self._on_probe_threads(partial(self._serve, path)) for path in PROBES}
        self._others = {
            path: grpc.stream_unary_rpc_method_handler(partial(self._serve, path))
            for path in METHODS - PROBES
        }
        self._full = self._refuse(_FULL)
        self._long_head = self._refuse(_LONG_HEAD)

    def service(self, handler_call_details: Any) -> Any:
        """The handler for a call of this method; None if there is no such method.

        A call without a valid API key is refused here, by a probe thread, and takes no other.
        """
        path, metadata = handler_call_details.method, handler_call_details.invocation_metadata
        if len(metadata) > _MOST_HEADERS:
            return self._long_head
        if path not in self._others:
            return self._probes.get(path)
        try:
            self._access.check(_headers(metadata))
        except HttpError as error:
            return self._refuse(reply_to_error(error))
        return self._full if len(self.threads.calls) >= self._most_calls else self._others[path]

    async def cancel_slow_calls(self) -> None:
        """Cancel calls whose message arrives too slowly, or could take too much memory.

        The size of a message is unknown until it is complete, and many clients may send slowly. At
        most --max-queue-bytes divided by --max-body messages may therefore take longer than a tick.
        """
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            slow = [one for one in self._receiving.copy().items() if now - one[1] > _TICK_SECONDS]
            for at, (context, since) in enumerate(slow):
                if at >= self._most_slow or now - since > self._time_limit:
                    context.cancel()

    async def close(self) -> None:
        """End the threads after the server has stopped; no client waits for their answers."""
        self._probe_threads.shutdown()
        ending = asyncio.create_task(asyncio.to_thread(self.threads.shutdown))
        while not ending.done():
            for answered in self._waiting.copy():
                answered.cancel()
            await asyncio.wait([ending], timeout=0.05)

    def _on_probe_threads(self, behavior: Callable[[Iterator[bytes], Any], bytes]) -> Any:
        """A handler on the probe threads, which works while all other threads wait for models."""
        handled: Any = partial(behavior)
        handled.experimental_thread_pool = self._probe_threads
        return grpc.stream_unary_rpc_method_handler(handled)

    def _refuse(self, reply: Reply) -> Any:
        """A handler that ends a call before any of its message is received."""
        return self._on_probe_threads(lambda _, context: _send(context, reply))

    def _serve(self, path: str, messages: Iterator[bytes], context: Any) -> bytes:
        """Answer one call, in a thread of the pool."""
        return _send(context, self._reply_to(path, messages, context))

    def _reply_to(self, path: str, messages: Iterator[bytes], context: Any) -> Reply:
        headers = list(_headers(context.invocation_metadata()))
        self._receiving[context] = time.monotonic()
        try:
            body = next(messages, None)
        finally:
            del self._receiving[context]
        if body is None:
            return Reply(grpc.StatusCode.UNIMPLEMENTED, "A call has exactly one message.")
        answered: Future[Reply] = Future()
        call = Call(
            path, headers, body, self._scheme, context.time_remaining(), context.is_active,
            answered,
        )  # fmt: skip
        self._waiting.add(answered)
        try:
            self._loop.call_soon_threadsafe(self._answer, call)
            return answered.result()
        except CancelledError:
            return Reply(grpc.StatusCode.UNAVAILABLE, "The server ended.")
        finally:
            self._waiting.discard(answered)


class _Threads(ThreadPoolExecutor):
    """A thread pool that knows its calls: those that run, and those that wait for a thread."""

    def __init__(self, count: int, name: str) -> None:
        super().__init__(count, name)
        self.calls: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call as `ThreadPoolExecutor` does, and keep it until it is done."""
        call = super().submit(fn, *args, **kwargs)
        self.calls.add(call)
        call.add_done_callback(self.calls.discard)
        return call


def _headers(metadata: Iterable[tuple[str, str | bytes]]) -> Iterator[tuple[bytes, bytes]]:
    return (
        (name.encode(), value.encode() if isinstance(value, str) else value)
        for name, value in metadata
    )


def _send(context: Any, reply: Reply) -> bytes:
    """End a call: with the message that is returned, or with another status."""
    context.set_trailing_metadata((*ANSWER_HEADERS, *reply.metadata))
    if reply.status is not grpc.StatusCode.OK:
        context.abort(reply.status, reply.text)
    return reply.message


def _running_threads(count: int, name: str) -> _Threads:
    """A pool whose threads all run: failing to start one later would end grpcio's own thread.

    Raises:
        SettingsError: The system does not allow so many threads.
    """
    pool, all_run = _Threads(count, name), threading.Barrier(count)
    try:
        list(pool.map(lambda _: all_run.wait(), range(count)))
    except RuntimeError as error:
        all_run.abort()
        raise SettingsError(
            f"--grpc-port needs {count} threads, and the system does not start as many: raise its "
            "limit (ulimit -u, or the pids of the container)."
        ) from error
    return pool


def _options(settings: Settings) -> list[tuple[str, int]]:
    """The limits of grpcio, described in include/grpc/impl/channel_arg_names.h of its sources."""
    return [
        ("grpc.so_reuseport", int(settings.workers > 1)),  # else a port in use is an error
        ("grpc.max_receive_message_length", settings.max_body),  # before and after decompression
        ("grpc.max_send_message_length", -1),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.max_concurrent_streams", _STREAMS),
        # By default 0: then calls of clients that keep to _STREAMS are refused (REFUSED_STREAM).
        ("grpc.http2.max_deallocating_streams", _ENDED_STREAMS),
        ("grpc.http2.bdp_probe", 0),  # growing windows would buffer data that nobody reads yet
        ("grpc.server_handshake_timeout_ms", _milliseconds(settings.client_timeout)),
        ("grpc.keepalive_time_ms", _milliseconds(settings.client_timeout)),
        ("grpc.keepalive_timeout_ms", _milliseconds(settings.client_timeout)),
        ("grpc.max_connection_idle_ms", _milliseconds(_IDLE_SECONDS)),
        ("grpc.max_connection_age_ms", _milliseconds(_AGE_SECONDS)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(settings.request_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(_SHORTEST_PING_SECONDS)),
    ]


def _milliseconds(seconds: float) -> int:
    return min(int(seconds * 1000), 2**31 - 1)
