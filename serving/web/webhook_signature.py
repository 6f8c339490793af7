"""The check of MLflow's webhook signature, which proves that the registry sent a message. Pure.

MLflow signs `delivery id.timestamp.payload` with HMAC-SHA256 and the webhook's secret. The content
of the message does not matter: the server reads the registry itself.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

_SECONDS = re.compile(rb"[0-9]{1,12}")
_TOLERANCE_SECONDS = 300  # older messages may be replays


def is_genuine(headers: Mapping[bytes, bytes], payload: bytes, secret: str, now: float) -> bool:
    """Whether `payload` was signed with `secret` within 300 s of `now` (Unix time, in seconds)."""
    timestamp = headers.get(b"x-mlflow-timestamp", b"")
    if not _SECONDS.fullmatch(timestamp) or abs(now - int(timestamp)) > _TOLERANCE_SECONDS:
        return False
    signed = b".".join([headers.get(b"x-mlflow-delivery-id", b""), timestamp, payload])
    expected = base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256))
    return hmac.compare_digest(headers.get(b"x-mlflow-signature", b""), b"v1," + expected)
