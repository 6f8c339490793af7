"""Which callers get the canary: a pure function, the same in every process and after a restart."""

from functools import lru_cache
from hashlib import blake2b

_BYTES = 6
_POSITIONS = 256.0**_BYTES


def takes_canary(model: str, version: str, key: bytes, percent: float) -> bool:
    """Return whether the canary answers the requests of a routing key.

    Keys that get the canary at one share get it at every greater share. Which keys these are is
    independent of those of other models and of other versions of the model, so that no caller
    gets every canary first.

    Args:
        model: Name of the registered model.
        version: Number of the canary's version.
        key: Routing key of the request.
        percent: Share of the canary, 0 to 100.
    """
    return position(model, version, key) < percent


def position(model: str, version: str, key: bytes) -> float:
    """Return the share in percent, from 0 to below 100, above which a key gets the canary.

    Positions of different keys are uniform, with a resolution of 2⁻⁴⁸. BLAKE2b has a keyed mode for
    families of independent hash functions (RFC 7693, section 2.9).
    """
    digest = blake2b(key, digest_size=_BYTES, key=_hash_key(model, version)).digest()
    return int.from_bytes(digest) / _POSITIONS * 100


@lru_cache(maxsize=256)
def _hash_key(model: str, version: str) -> bytes:
    return blake2b(f"{version} {model}".encode(errors="surrogatepass"), digest_size=32).digest()
