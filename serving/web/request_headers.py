"""The headers of a prediction request that the front reads, parsed in one pass."""

import re
from collections.abc import Iterable

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_SIZE = re.compile(rb"0*[1-9][0-9]{0,8}")
_NO_GZIP = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")
_LENGTH_DIGITS = 18
_LONGEST_TYPE = 256  # longer values are no supported content type


def takes_gzip(accept_encoding: bytes) -> bool:
    """Return whether a client with this Accept-Encoding header takes an answer in gzip."""
    return b"gzip" in accept_encoding and not _NO_GZIP.search(accept_encoding)


class RequestHeaders:
    """The parsed headers of a prediction request.

    Attributes:
        content_type: The Content-Type as sent, cut at 256 characters; empty if absent.
        encoding: The Content-Encoding of the body, in lower case; empty if absent.
        length: The Content-Length; 0 if it is absent or invalid.
        request_id: The caller's X-Request-ID; empty if it is absent or cannot be passed on.
        traceparent: The caller's W3C trace context; empty if it is absent or invalid.
        takes_gzip: Whether the answer may be compressed with gzip.
        json_size: The length in bytes of the JSON at the start of the body, where binary data
            follow it; 0 if the header is absent, -1 if it is no positive number.
    """

    __slots__ = (
        "content_type",
        "encoding",
        "json_size",
        "length",
        "request_id",
        "takes_gzip",
        "traceparent",
    )

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.content_type = ""
        self.encoding = b""
        self.length = 0
        self.request_id = b""
        self.traceparent = b""
        self.takes_gzip = False
        self.json_size = 0
        for name, value in headers:
            if name == b"content-type":
                self.content_type = value[:_LONGEST_TYPE].decode("latin-1")
            elif name == b"content-length":
                known = value.isdigit() and len(value) <= _LENGTH_DIGITS
                self.length = int(value) if known else 0
            elif name == b"content-encoding":
                self.encoding = value.strip().lower()
            elif name == b"accept-encoding":
                self.takes_gzip = takes_gzip(value)
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value
            elif name == b"inference-header-content-length":
                self.json_size = int(value) if _SIZE.fullmatch(value) else -1
            elif name == b"traceparent" and _TRACEPARENT.fullmatch(value):
                self.traceparent = value
