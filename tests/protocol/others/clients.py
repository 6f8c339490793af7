"""A server of all protocols, and how plain HTTP asks it."""

from typing import Any, NamedTuple

import requests

from tests.online import Server

KINDS = ["scalars", "optional", "frame", "tensor", "failing", "params"]
KEY = "a-key"


def bearer() -> dict[str, str]:
    """A header with the key; Triton's client adds its own to the dictionary that it is given."""
    return {"authorization": f"Bearer {KEY}"}


class Protocols(NamedTuple):
    """A running server.

    Attributes:
        server: With an API key.
        grpc: The address of its gRPC server.
    """

    server: Server
    grpc: str

    @property
    def http(self) -> str:
        """Its address as Triton's client wants it."""
        return self.server.url.removeprefix("http://")

    def ask(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """The answer to a POST of JSON, or of what `options` say."""
        headers = bearer() | options.pop("headers", {})
        method = options.pop("method", "POST")
        if body is not None:
            options["json"] = body
        url = self.server.url + path
        return requests.request(method, url, headers=headers, timeout=60, **options)
