"""Authentication by API keys: bearer tokens, compared in constant time."""

import hashlib
import hmac
from collections.abc import Iterable

from cloche.serving.web.asgi import HttpError

_CHALLENGE = [(b"www-authenticate", b"Bearer")]


class Authentication:
    """The API keys of a server; without any, every request is allowed."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    @property
    def guarded(self) -> bool:
        """Whether requests need an API key."""
        return bool(self._digests)

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Check the API key of a request.

        Raises:
            HttpError: The request carries none of the keys.
        """
        if not self._digests:
            return
        value = next((value for name, value in headers if name == b"authorization"), b"")
        scheme, _, key = value.partition(b" ")
        given = _digest(key.strip())
        matches = [
            hmac.compare_digest(given, digest) for digest in self._digests
        ]  # compared with all, so that the time does not depend on the key
        if scheme.lower() != b"bearer" or not any(matches):
            raise HttpError(
                401, "UNAUTHENTICATED", "Send an API key: Authorization: Bearer KEY.", _CHALLENGE
            )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
