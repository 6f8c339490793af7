"""The check of content types that a page of another site can send without a preflight. Pure.

For all other types, a browser asks the server first (CORS preflight) and gets no permission. No
protocol needs plain text or a multipart form, so these are refused. `curl -d` sends the type of a
URL-encoded form, and some clients send no type: both are accepted unless a page of another origin
sent them.
https://fetch.spec.whatwg.org/#cors-safelisted-request-header
"""

from collections.abc import Iterable

from cloche.serving.web.asgi import HttpError

_CHECKED = ("application/json", "application/octet-stream")  # a browser sends a preflight first
_NEVER = frozenset({"text/plain", "multipart/form-data"})
_UNASKED = frozenset({"", "application/x-www-form-urlencoded"})


def may_be_simple(content_type: str) -> bool:
    """Whether `check` is needed for a body of this type."""
    return not content_type.startswith(_CHECKED)


def check(content_type: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check the content type of a body, for a codec that reads bodies of any type.

    Raises:
        HttpError: A page of another site could have sent the body.
    """
    if not may_be_simple(content_type):
        return
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _NEVER or (kind in _UNASKED and _is_foreign(dict(headers))):
        raise HttpError(415, "BAD_REQUEST", "Send this content type: application/json.")


def _is_foreign(headers: dict[bytes, bytes]) -> bool:
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] != headers.get(b"host")
