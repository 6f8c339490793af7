"""A small table and the recipe for it, for tests to change one thing in."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloche.training.recipe.schema import Recipe
from tests.training.conftest import CHURN


@pytest.fixture
def frame() -> pd.DataFrame:
    """200 customers, 25 of each household size, some of whom left; nothing is wrong with it."""
    draw = np.random.default_rng(7)
    rows = 200
    return pd.DataFrame(
        {
            "customer": [f"c{number:03}" for number in range(rows)],
            "day": pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
            "household": np.arange(rows) // 4,
            "age": draw.normal(40, 12, rows),
            "spend": draw.gamma(2, 30, rows),
            "plan": draw.choice(["free", "basic", "gold"], rows),
            "churned": draw.integers(0, 2, rows),
        }
    )


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    """Makes a recipe for `frame`, with the sections that a test gives in place of its own."""
    return lambda **sections: Recipe.model_validate({**CHURN, **sections})


ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/gone.csv": (404, {}, b""),
    "/hunter2/gone.csv": (404, {}, b""),
    "/loop.csv": (302, {"Location": "/loop.csv"}, b""),
    "/lost.csv": (302, {"Location": "http://[bad"}, b""),
    "/short.csv": (200, {"Content-Length": "100"}, b"x,y\n1,2\n"),
    "/chunks.csv": (200, {"Transfer-Encoding": "chunked"}, b"zz\r\nfoo"),
    "/unpacked.csv": (200, {"Content-Encoding": "gzip"}, b"x,y\n1,2\n"),
    "/empty.csv": (200, {}, b""),
    "/page.csv": (200, {}, b"<!DOCTYPE html><html><body>\n<p>Sign in, please</p></body></html>"),
    "/rows.json": (200, {}, b'[{"x": 1}]'),
    "/no.parquet": (200, {}, b"x,y\n1,2\n"),
    "/no.csv.gz": (200, {}, b"x,y\n1,2\n"),
}


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The address of a server that has a table at any path but those of `ANSWERS`."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            status, headers, body = ANSWERS.get(self.path, (200, {}, b"x,y\n1,2\n"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
