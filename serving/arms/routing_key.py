"""The routing key of a request, by which it is decided which arm answers. Pure."""

from collections.abc import Iterable

_ONCE = b"\0"  # which no header can have


def routing_key(headers: Iterable[tuple[bytes, bytes]], request_id: bytes) -> bytes:
    """The header X-Routing-Key of a request, else its API key, else its ID.

    Args:
        headers: The headers, with names in lower case, or the metadata of a gRPC call.
        request_id: The ID of the request.
    """
    key = request_id
    for name, value in headers:
        if name == b"x-routing-key" and value:
            return value
        if name == b"authorization" and value:
            key = value
    return key


def caller_of(key: bytes, request_id: bytes) -> bytes:
    """The name under which the caller with a routing key is counted."""
    return _ONCE + key if key is request_id else key


def may_return(caller: bytes) -> bool:
    """Whether a caller may send further requests, also to other servers."""
    return not caller.startswith(_ONCE)
