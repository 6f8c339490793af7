import pytest

from cloche.serving.web.request_headers import RequestHeaders


def test_a_request_id_is_passed_on() -> None:
    assert RequestHeaders([(b"x-request-id", b"abc-1")]).request_id == b"abc-1"


@pytest.mark.parametrize("sent", [b"", b"a b", b"a\x00", b"\xff", b"a" * 129])
def test_a_request_id_that_could_do_harm_is_replaced(sent: bytes) -> None:
    assert RequestHeaders([(b"x-request-id", sent)]).request_id == b""


@pytest.mark.parametrize(
    ("accepted", "packs"),
    [
        (b"gzip", True),
        (b"br, gzip", True),
        (b"gzip;q=0.5, br", True),
        (b"gzip; q=0", False),
        (b"br;q=1, gzip;q=0.000", False),
        (b"br", False),
    ],
)
def test_an_answer_is_packed_only_for_those_who_take_it(accepted: bytes, packs: bool) -> None:
    assert RequestHeaders([(b"accept-encoding", accepted)]).takes_gzip is packs


CONTEXT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_context_is_kept() -> None:
    assert RequestHeaders([(b"traceparent", CONTEXT)]).traceparent == CONTEXT


@pytest.mark.parametrize(
    "sent",
    [
        b"<script>",
        b"ff" + CONTEXT[2:],
        CONTEXT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        CONTEXT.replace(b"b7ad6b7169203331", b"0" * 16),
    ],
)
def test_what_is_no_trace_context_is_dropped(sent: bytes) -> None:
    assert RequestHeaders([(b"traceparent", sent)]).traceparent == b""


def test_an_endless_content_type_is_cut() -> None:
    assert len(RequestHeaders([(b"content-type", b"a" * 100_000)]).content_type) < 1000
