"""The headers of a prediction request that the front reads, in one pass."""

import re
from collections.abc import Iterable

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_SIZE = re.compile(rb"0*[1-9][0-9]{0,8}")
_LENGTH_DIGITS = 18
_LONGEST_TYPE = 256  # whatever is longer is no content type that is taken


class RequestHeaders:
    """What a request's headers say.

    Attributes:
        content_type: As sent, cut where it is absurdly long; empty when absent.
        encoding: Of the body.
        length: Of the body, as announced; 0 when it was not.
        request_id: The caller's, if it is one that can be passed on.
        traceparent: The caller's W3C trace context, if it is one.
        takes_gzip: Whether the answer may be packed.
        json_size: Of the JSON that the body begins with, where bytes follow it; 0 where it is
            not said, and -1 where it is said, and no number of bytes.
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
                self.takes_gzip = b"gzip" in value and b"gzip;q=0" not in value.replace(b" ", b"")
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value
            elif name == b"inference-header-content-length":
                self.json_size = int(value) if _SIZE.fullmatch(value) else -1
            elif name == b"traceparent" and _TRACEPARENT.fullmatch(value):
                self.traceparent = value
