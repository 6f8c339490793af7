"""What a page of another site can send without asking is taken by no protocol."""

from cloche.serving.web.asgi import HttpError
from cloche.serving.web.cross_origin import check, may_be_simple

SIMPLE = (
    "text/plain", "text/plain; charset=utf-8", "TEXT/PLAIN", "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded", "",
)  # fmt: skip
TOOL = [(b"host", b"127.0.0.1:8080")]
PAGE = [*TOOL, (b"origin", b"https://evil.example")]
OWN_PAGE = [*TOOL, (b"origin", b"http://127.0.0.1:8080")]


def is_taken(content_type: str, headers: list[tuple[bytes, bytes]]) -> bool:
    try:
        check(content_type, headers)
    except HttpError as error:
        return error.status != 415
    return True


def test_a_page_of_another_origin_can_send_nothing_without_asking() -> None:
    assert not any(is_taken(kind, PAGE) for kind in SIMPLE)
    assert all(may_be_simple(kind) for kind in SIMPLE)
    assert not is_taken("", [*TOOL, (b"origin", b"null")])


def test_tools_that_name_no_type_or_the_usual_one_of_curl_are_answered() -> None:
    for headers in (TOOL, OWN_PAGE):
        assert is_taken("application/x-www-form-urlencoded", headers)
        assert is_taken("", headers)
        assert not is_taken("text/plain", headers)


def test_what_a_browser_asks_for_first_passes() -> None:
    assert is_taken("application/json", PAGE)
    assert is_taken("application/octet-stream", PAGE)
