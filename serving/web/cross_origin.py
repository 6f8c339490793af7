"""What a page of another site can send without asking: a body of a simple content type. Pure.

A browser asks the server first (CORS preflight), and gets no permission, for every other type. No
door needs plain text or a form with files. `curl -d` names the type of a plain form, and some
clients name none, so those are taken unless a page of another origin sent them.
https://fetch.spec.whatwg.org/#cors-safelisted-request-header
"""

from collections.abc import Iterable

from cloche.serving.processes.frames import Door
from cloche.serving.web.asgi import HttpError

_CHECKED = ("application/json", "application/octet-stream")  # a browser asks before it sends them
_NEVER = frozenset({"text/plain", "multipart/form-data"})
_UNASKED = frozenset({"", "application/x-www-form-urlencoded"})


def may_be_simple(door: Door, content_type: str) -> bool:
    """Whether a body needs another look; MLflow's protocol takes no simple type anyway."""
    return door is not Door.MLFLOW and not content_type.startswith(_CHECKED)


def check(door: Door, content_type: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Let a body pass.

    Raises:
        HttpError: A page of another site could have sent it.
    """
    if not may_be_simple(door, content_type):
        return
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _NEVER or (kind in _UNASKED and _is_foreign(dict(headers))):
        raise HttpError(415, "BAD_REQUEST", "Send this content type: application/json.")


def _is_foreign(headers: dict[bytes, bytes]) -> bool:
    origin = headers.get(b"origin")
    return origin is not None and origin.partition(b"://")[2] != headers.get(b"host")
