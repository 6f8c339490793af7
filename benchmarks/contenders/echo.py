"""A server without a model, on the same uvicorn: the upper limit of throughput.

Run as a script, the module is the server itself.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from benchmarks.place import Place, Question
from benchmarks.row import Row


def command(place: Place) -> list[str]:
    """Return the command line that starts the server."""
    return [str(place.python), "-m", __name__, str(place.port)]


def ready() -> str:
    """Return the path that answers 200 when the server can predict."""
    return "/"


def question(row: Row) -> Question:
    """Build the request for the prediction of one row."""
    return Question("/", row.split())


async def app(
    _: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Read a request, and answer with a fixed prediction."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"20")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"predictions": [0]}'})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, lifespan="off", log_level="warning")
