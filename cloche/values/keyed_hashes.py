"""Keyed hashes of cells: with a key of each model, derived from one secret."""

import hmac
from typing import Any


def derived_key(secret: bytes, model: str) -> bytes:
    """Return the key of the hashes of a model."""
    return hmac.digest(secret, f"model {model}".encode(), "sha256")


def keyed_hash(key: bytes, cell: Any) -> str | None:
    """Return the hash of a cell's text, in hexadecimal digits; None for a missing cell."""
    if cell is None or cell != cell:  # noqa: PLR0124  # NaN
        return None
    return hmac.digest(key, str(cell).encode(errors="surrogatepass"), "sha256").hex()
