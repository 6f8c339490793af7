"""The headers of every answer: over HTTP, of a mounted application, and as metadata of gRPC.

The sockets of `cloche serve` add them to whatever is sent (`serving/server/front.py`), the
mounted application to its own answers, and gRPC to the trailing metadata of its calls. Answers that
grpcio gives by itself have none: to unknown methods, and to calls beyond its limits.
"""

from cloche.serving.web.asgi import Message, Send

ANSWER_HEADERS: list[tuple[str, str]] = []
"""Names in lower case, and values. Both are ASCII, because gRPC allows nothing else."""


def with_headers(send: Send) -> Send:
    """A `send` of ASGI that adds the headers to the start of an answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode()) for name, value in ANSWER_HEADERS]
            message = {**message, "headers": [*added, *message["headers"]]}
        await send(message)

    return send_with_headers
