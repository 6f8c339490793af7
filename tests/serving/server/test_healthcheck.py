"""The health check of the container."""

from collections.abc import Iterator
from typing import Any

import pytest

from cloche.serving.server.healthcheck import main
from tests.broken_servers import answering


@pytest.fixture(params=[200, 503])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The port of a server, and how it answers when it is asked whether it is ready."""

    def answer(handler: Any, _: bytes) -> None:
        status = request.param if handler.path == "/readyz" else 404
        handler.reply(status, b'{"ready": "perhaps"}', connection="close")

    with answering(answer) as url:
        yield url.rpartition(":")[2], request.param


@pytest.mark.parametrize("name", ["CLOCHE_SERVE_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"])
def test_it_asks_where_the_server_listens_and_says_why_it_is_not_healthy(
    server: tuple[str, int], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port, status = server
    assert main({name: port}) == (status != 200)
    assert status == 200 or "perhaps" in capsys.readouterr().out


def test_nobody_who_listens_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"CLOCHE_SERVE_PORT": "9"}) == 1
    assert "Port 9" in capsys.readouterr().out
