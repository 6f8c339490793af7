import pytest

from cloche.serving.web.request_headers import RequestHeaders


@pytest.mark.parametrize("sent", [b"abc-1", b"", b"a b", b"a\x00", b"\xff", b"a" * 129])
def test_a_request_id_is_passed_on_unless_it_could_do_harm(sent: bytes) -> None:
    passed = sent if sent == b"abc-1" else b""
    assert RequestHeaders([(b"x-request-id", sent)]).request_id == passed


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


@pytest.mark.parametrize(
    "sent",
    [
        CONTEXT, b"<script>", b"ff" + CONTEXT[2:],
        CONTEXT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        CONTEXT.replace(b"b7ad6b7169203331", b"0" * 16),
    ],
)  # fmt: skip
def test_a_trace_context_is_kept_and_what_is_none_is_dropped(sent: bytes) -> None:
    kept = sent if sent == CONTEXT else b""
    assert RequestHeaders([(b"traceparent", sent)]).traceparent == kept


def test_an_endless_content_type_is_cut() -> None:
    assert len(RequestHeaders([(b"content-type", b"a" * 100_000)]).content_type) < 1000
