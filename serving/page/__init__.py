"""The status page: static files, which load nothing from other sites.

They hold no data, so they need no API key; the page asks for the key before it shows data.
"""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from cloche.serving.web.asgi import HeaderList, Scope, Send, respond
from cloche.serving.web.request_headers import takes_gzip

_TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
_INDEX = "index.html"
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE: HeaderList = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One static file, compressed once."""

    content_type: bytes
    body: bytes
    packed: bytes
    tag: bytes

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Send the file, or status 304 if the browser has it."""
        asked = dict(scope["headers"])
        headers = [*SAFE, (b"etag", self.tag), (b"cache-control", b"no-cache")]
        headers.append((b"vary", b"accept-encoding"))
        if asked.get(b"if-none-match") == self.tag:
            await respond(send, 304, b"", self.content_type, headers)
        elif takes_gzip(asked.get(b"accept-encoding", b"")):
            headers.append((b"content-encoding", b"gzip"))
            await respond(send, 200, self.packed, self.content_type, headers)
        else:
            await respond(send, 200, self.body, self.content_type, headers)


def pages() -> dict[str, StaticFile]:
    """All files by path: the page itself at `/`, its scripts and styles below `/page/`."""
    found = {}
    for resource in files(__name__).iterdir():
        content_type = _TYPES.get(resource.name.rpartition(".")[2])
        if content_type is not None:
            body = resource.read_bytes()
            tag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
            path = "/" if resource.name == _INDEX else f"/page/{resource.name}"
            found[path] = StaticFile(content_type, body, gzip.compress(body, mtime=0), tag)
    return found
