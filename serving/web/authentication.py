"""Who may ask for predictions: bearers of one of the API keys, compared in constant time."""

import hashlib
import hmac
from collections.abc import Iterable

from cloche.serving.web.asgi import HttpError

_CHALLENGE = [(b"www-authenticate", b"Bearer")]


class Authentication:
    """The API keys of a server; with none, everybody may ask."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    @property
    def guarded(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._digests)

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Let a request pass.

        Raises:
            HttpError: It carries none of the keys.
        """
        if not self._digests:
            return
        value = next((value for name, value in headers if name == b"authorization"), b"")
        scheme, _, key = value.partition(b" ")
        given = _digest(key.strip())
        matches = [
            hmac.compare_digest(given, digest) for digest in self._digests
        ]  # all, in constant time
        if scheme.lower() != b"bearer" or not any(matches):
            raise HttpError(
                401, "UNAUTHENTICATED", "Send an API key: Authorization: Bearer KEY.", _CHALLENGE
            )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
