import pytest

from cloche.serving.web.asgi import HttpError
from cloche.serving.web.authentication import Authentication


@pytest.mark.parametrize("sent", [b"Bearer old", b"bearer new", b"Bearer  new "])
def test_each_of_several_keys_opens(sent: bytes) -> None:
    Authentication(["old", "new"]).check([(b"authorization", sent)])


@pytest.mark.parametrize(
    "headers",
    [[], [(b"authorization", b"Bearer wrong")], [(b"authorization", b"Basic new")],
     [(b"authorization", b"new")], [(b"x-api-key", b"new")]],
)  # fmt: skip
def test_everything_else_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(HttpError) as refusal:
        Authentication(["old", "new"]).check(headers)
    assert refusal.value.status == 401


def test_a_server_without_keys_is_open() -> None:
    Authentication().check([])
