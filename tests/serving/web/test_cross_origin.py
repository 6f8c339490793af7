"""What a page of another site can send without asking is taken by no door."""

import pytest

from cloche.serving.processes.frames import Door
from cloche.serving.web.asgi import HttpError
from cloche.serving.web.cross_origin import check, may_be_simple

OTHERS = [door for door in Door if door not in (Door.MLFLOW, Door.GRPC)]
SIMPLE = (
    "text/plain", "text/plain; charset=utf-8", "TEXT/PLAIN", "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded", "",
)  # fmt: skip
TOOL = [(b"host", b"127.0.0.1:8080")]
PAGE = [*TOOL, (b"origin", b"https://evil.example")]
OWN_PAGE = [*TOOL, (b"origin", b"http://127.0.0.1:8080")]


def is_taken(door: Door, content_type: str, headers: list[tuple[bytes, bytes]]) -> bool:
    try:
        check(door, content_type, headers)
    except HttpError as error:
        return error.status != 415
    return True


@pytest.mark.parametrize("door", OTHERS)
def test_a_page_of_another_origin_can_send_nothing_without_asking(door: Door) -> None:
    assert not any(is_taken(door, kind, PAGE) for kind in SIMPLE)
    assert all(may_be_simple(door, kind) for kind in SIMPLE)
    assert not is_taken(door, "", [*TOOL, (b"origin", b"null")])
    assert all(is_taken(door, f"application/{kind}", PAGE) for kind in ("json", "octet-stream"))


@pytest.mark.parametrize("door", OTHERS)
def test_tools_that_name_no_type_or_the_usual_one_of_curl_are_answered(door: Door) -> None:
    for headers in (TOOL, OWN_PAGE):
        assert is_taken(door, "application/x-www-form-urlencoded", headers)
        assert is_taken(door, "", headers)
        assert not is_taken(door, "text/plain", headers)
