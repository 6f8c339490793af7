"""MessagePack by msgspec, and a writer for hosts whose environment lacks it.

The format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

try:
    import msgspec
except ImportError:  # the environment of a version may lack it
    msgspec = None  # type: ignore[assignment]

__all__ = ["Ext", "PlainExt", "encode", "encode_plainly", "msgspec"]


class PlainExt(NamedTuple):
    """A value of a type that MessagePack does not have: the type's code, and bytes."""

    code: int
    data: bytes


Ext: Any = msgspec.msgpack.Ext if msgspec else PlainExt


def encode_plainly(value: Any) -> bytes:  # noqa: PLR0911  # one for each type
    """Encode texts, numbers, truth values, None, bytes, lists, mappings and `PlainExt`.

    Raises:
        TypeError: The value, or one in it, is of another type.
    """
    if value is None or value is True or value is False:
        return b"\xc0" if value is None else b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return (
            struct.pack("!Bq", 0xD3, value) if value < 1 << 63 else struct.pack("!BQ", 0xCF, value)
        )
    if isinstance(value, float):
        return struct.pack("!Bd", 0xCB, value)
    if isinstance(value, PlainExt):
        return struct.pack("!BIb", 0xC9, len(value.data), value.code) + value.data
    if isinstance(value, str):
        text = value.encode()
        return struct.pack("!BI", 0xDB, len(text)) + text
    if isinstance(value, bytes):
        return struct.pack("!BI", 0xC6, len(value)) + value
    if isinstance(value, list | tuple):
        return struct.pack("!BI", 0xDD, len(value)) + b"".join(map(encode_plainly, value))
    if isinstance(value, Mapping):
        cells = [cell for pair in value.items() for cell in pair]
        return struct.pack("!BI", 0xDF, len(value)) + b"".join(map(encode_plainly, cells))
    raise TypeError(f"MessagePack has no {type(value).__name__}.")


encode = msgspec.msgpack.Encoder().encode if msgspec else encode_plainly
