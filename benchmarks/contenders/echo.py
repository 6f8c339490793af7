"""No model at all, on the same uvicorn: the limit.

Run as a script, it is the application itself.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from benchmarks.place import Place, Question
from benchmarks.row import Row


def command(place: Place) -> list[str]:
    """How it is started."""
    return [str(place.python), "-m", __name__, str(place.port)]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/"


def question(row: Row) -> Question:
    """How it is asked for the prediction of one row."""
    return Question("/", row.split())


async def app(
    _: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Read a request and answer what a model might have."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"20")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"predictions": [0]}'})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, lifespan="off", log_level="warning")
