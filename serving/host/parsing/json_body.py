"""JSON bodies, read by msgspec as far as it reads them as Python's own reader does.

msgspec needs a fifth of the time. What it takes it gives as `json` does, to the type and the last
bit; what it does not take (NaN, numbers beyond a double, other encodings than UTF-8, lone
surrogates) `json` reads. `tests/serving/host/parsing/test_json_body.py` compares both.
"""

import json
from collections.abc import Callable
from typing import Any

try:
    import msgspec
except ImportError:  # the environment of a version holds what that version asks for
    msgspec = None  # type: ignore[assignment]

_read_fast: Callable[[bytes], Any] | None = msgspec.json.Decoder().decode if msgspec else None
# Those of msgspec are ValueErrors since 0.21; the environment of a version may hold an older one.
_UNREAD = (ValueError, RecursionError, *((msgspec.MsgspecError,) if msgspec else ()))


def read_json(body: bytes) -> Any:
    """What a JSON document in UTF-8 says.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deeply.
    """
    if _read_fast is not None:
        try:
            return _read_fast(body)
        except _UNREAD:
            pass
    return json.loads(body.decode())
