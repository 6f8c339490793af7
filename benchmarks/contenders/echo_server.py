"""The server of the contender echo: no model, on the same uvicorn as Cloche.

It is started as `python -m benchmarks.contenders.echo_server PORT`.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn


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
