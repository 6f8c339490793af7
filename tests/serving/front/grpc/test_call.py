"""What a call asks, and how it is refused: as grpc's own server refuses it."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import grpc
import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.front.grpc import call as calls
from cloche.serving.front.grpc.call import Refused, Status
from tests.serving.front.grpc.talking import HEAD, ask_over_socket, framed

LIMIT = 1000
MESSAGE = b"hello" * 3
GZIP, DEFLATE = [(b"grpc-encoding", b"gzip")], [(b"grpc-encoding", b"deflate")]


class Case(NamedTuple):
    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    status: Status = Status.OK
    message: bytes = MESSAGE

    @property
    def expected(self) -> tuple[Status, bytes]:
        return self.status, self.message if self.status == Status.OK else b""


CASES = {
    "a message": Case(framed(MESSAGE)),
    "an empty message": Case(framed(b""), message=b""),
    "gzip": Case(framed(gzip.compress(MESSAGE), packed=1), GZIP),
    "deflate": Case(framed(zlib.compress(MESSAGE), packed=1), DEFLATE),
    "gzip that is not used": Case(framed(MESSAGE), GZIP),
    "no message": Case(b"", status=Status.UNIMPLEMENTED),
    "half a prefix": Case(b"\0\0", status=Status.UNIMPLEMENTED),
    "half a message": Case(framed(MESSAGE, length=20), status=Status.UNIMPLEMENTED),
    "packed, and not said how": Case(framed(MESSAGE, packed=1), status=Status.INTERNAL),
    "packed as identity": Case(
        framed(MESSAGE, packed=1), [(b"grpc-encoding", b"identity")], Status.INTERNAL
    ),
    "gzip that is none": Case(framed(MESSAGE, packed=1), GZIP, Status.INTERNAL),
    "gzip cut short": Case(
        framed(gzip.compress(MESSAGE)[:-4], packed=1), GZIP, Status.INTERNAL
    ),
    "gzip with a tail": Case(
        framed(gzip.compress(MESSAGE) + b"x", packed=1), GZIP, Status.INTERNAL
    ),
    "gzip of two members": Case(
        framed(gzip.compress(MESSAGE) * 2, packed=1), GZIP, Status.INTERNAL
    ),
    "a message too large": Case(framed(b"x" * 1001), status=Status.RESOURCE_EXHAUSTED),
    "one that says so": Case(framed(b"x", length=5000), status=Status.RESOURCE_EXHAUSTED),
    "one too large unpacked": Case(
        framed(gzip.compress(b"x" * 2000), packed=1), GZIP, Status.RESOURCE_EXHAUSTED
    ),
    "a timeout that is none": Case(
        framed(MESSAGE), [(b"grpc-timeout", b"soon")], Status.INTERNAL
    ),
    "metadata in bytes": Case(framed(MESSAGE), [(b"x-some-bin", b"AAEC")]),
}  # fmt: skip
OWN = {  # where grpc's server looks away, and its siblings in other languages do not
    "two messages": Case(framed(MESSAGE) * 2, status=Status.UNIMPLEMENTED),
    "neither packed nor not": Case(framed(MESSAGE, packed=2), status=Status.INTERNAL),
    "packed by a stranger": Case(
        framed(MESSAGE, packed=1), [(b"grpc-encoding", b"br")], Status.UNIMPLEMENTED
    ),
}


def understood(case: Case) -> tuple[Status, bytes]:
    call = calls.read([*HEAD, *case.headers])
    if call.refused:
        return call.refused.status, b""
    try:
        return Status.OK, calls.message(call, case.body, LIMIT)
    except Refused as error:
        return error.refusal.status, b""


@pytest.mark.parametrize("case", (CASES | OWN).values(), ids=(CASES | OWN).keys())
def test_a_message_is_taken_or_refused(case: Case) -> None:
    assert understood(case) == case.expected


@pytest.fixture(scope="module")
def reference() -> Iterator[int]:
    """The port of a server of grpc's own."""
    echo = grpc.unary_unary_rpc_method_handler(lambda body, _: body)
    options = [("grpc.max_receive_message_length", LIMIT)]
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads, options=options)
        service = "inference.GRPCInferenceService"
        handler = grpc.method_handlers_generic_handler(service, {"ModelInfer": echo})
        server.add_generic_rpc_handlers([handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(0).wait()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_grpcs_own_server_agrees(reference: int, case: Case) -> None:
    found = ask_over_socket(("127.0.0.1", reference), case.body, case.headers)
    status, message = case.expected
    assert int(found.headers[b"grpc-status"]) == status
    assert found.data == (framed(message) if status == Status.OK else b"")


@pytest.mark.parametrize(
    ("method", "kind", "http", "status"),
    [
        (b"GET", b"application/grpc", 405, Status.INTERNAL),
        (b"POST", b"application/json", 415, Status.INVALID_ARGUMENT),
        (b"POST", b"application/grpcish", 415, Status.INVALID_ARGUMENT),
        (b"POST", b"application/grpc+proto", 200, Status.OK),
        (b"POST", b"application/grpc;a=b", 200, Status.OK),
    ],
)
def test_what_is_no_call_is_told_in_http_as_well(
    method: bytes, kind: bytes, http: int, status: Status
) -> None:
    replaced = {b":method": method, b"content-type": kind}
    call = calls.read([(name, replaced.get(name, value)) for name, value in HEAD])
    if status == Status.OK:
        assert calls.message(call, framed(MESSAGE), LIMIT) == MESSAGE
        return
    assert call.refused is not None
    assert (call.refused.http_status, call.refused.status) == (http, status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 4e-3), (b"5u", 5e-6), (b"6n", 6e-9)],
)
def test_a_timeout_has_its_unit(value: bytes, seconds: float) -> None:
    assert calls.read([*HEAD, (b"grpc-timeout", value)]).timeout == pytest.approx(seconds)


@given(st.text())
def test_words_arrive_as_they_were(told: str) -> None:
    headers = dict(Decoder().decode(calls.closing(Status.INTERNAL, told), raw=True))
    sent = headers.get(b"grpc-message", b"")
    assert all(0x20 <= byte <= 0x7E for byte in sent)
    expected = told.encode("utf-8", "replace").strip()
    assert unquote_to_bytes(sent) == expected


def test_words_are_cut_to_what_clients_take() -> None:
    assert len(calls.closing(Status.INTERNAL, "\n" * 100_000 + "é" * 100_000)) < 8000
