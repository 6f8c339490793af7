"""The health check of the container."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cloche.serving.server.healthcheck import main


class Readiness(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:  # its name there
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"ready": "perhaps"}')

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Readiness) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["CLOCHE_SERVE_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"])
def test_it_asks_where_the_server_listens(server: HTTPServer, name: str) -> None:
    assert main({name: str(server.server_port)}) == 0


def test_a_server_that_is_not_ready_is_not_healthy_and_says_why(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Readiness, "status", 503)

    assert main({"CLOCHE_SERVE_PORT": str(server.server_port)}) == 1
    assert "perhaps" in capsys.readouterr().out


def test_nobody_who_listens_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"CLOCHE_SERVE_PORT": "9"}) == 1
    assert "Port 9" in capsys.readouterr().out
