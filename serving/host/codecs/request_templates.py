"""Requests that are like earlier ones in everything but the bytes of their tensors.

Clients ask the same way again and again. What says names, shapes and datatypes is read once, and
the bytes of one row then at one stroke: otherwise reading twelve tensors of one element each would
take longer than predicting.
"""

import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from cloche.serving.host.codecs.open_inference_request import OpenInferenceRequest
from cloche.serving.host.codecs.tensors import BYTES, FORMATS
from cloche.serving.host.parsing.column_decoder import Row, Table

_MOST = 512  # so many ways of asking are remembered
_LONGEST = 16 * 1024  # of what is remembered as a key
_LENGTH = struct.Struct("<I")


class RequestTemplates:
    """What was learned for columns with these names and native datatypes."""

    def __init__(self, names: Sequence[str], natives: Sequence[str]) -> None:
        self._names = list(names)
        self._natives = dict(zip(names, natives, strict=True))
        self._known: dict[Hashable, _Way] = {}

    def recall(self, key: Hashable, data: bytes) -> tuple[OpenInferenceRequest, Table] | None:
        """The request and its table; None if none was like it.

        Args:
            key: Everything of the request but the bytes of its tensors.
            data: Those, one after the other.
        """
        way = self._known.get(key)
        row = way.read(data) if way is not None else None
        if way is None or row is None:
            return None
        return way.asked, Table(way.key, [row], way.params)

    def learn(self, key: Hashable, size: int, asked: OpenInferenceRequest, table: Table) -> None:
        """Remember a request with `table`, whose key has `size` bytes, if it can be."""
        read = self._reader(asked) if table.length == 1 and size <= _LONGEST else None
        if read is None:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = _Way(asked._replace(tensors={}), read, table.key, table.params)

    def _reader(self, asked: OpenInferenceRequest) -> "_Read | None":
        """What reads one row with tensors like these; None where they are not plain."""
        tensors = asked.tensors.values()
        if any(
            one.datatype != self._natives.get(one.name) or not isinstance(one.data, memoryview)
            for one in tensors
        ):
            return None
        layout = struct.Struct(
            "<" + "".join(
                f"{len(one.data)}s" if one.datatype == BYTES else FORMATS[one.datatype]
                for one in tensors
            )
        )  # fmt: skip
        place = {name: at for at, name in enumerate(asked.tensors)}
        order = [place[name] for name in self._names]
        texts = [at for at, name in enumerate(self._names) if self._natives[name] == BYTES]

        def read(data: bytes) -> Row | None:
            try:
                cells = layout.unpack(data)
                row = [cells[at] for at in order]
                for at in texts:
                    text = row[at]
                    if _LENGTH.unpack_from(text)[0] != len(text) - 4:
                        return None
                    row[at] = text[4:].decode()
            except (struct.error, UnicodeDecodeError):  # it is told by whoever reads all
                return None
            return row

        return read


_Read = Callable[[bytes], Row | None]


class _Way(NamedTuple):
    """A way of asking."""

    asked: OpenInferenceRequest
    read: _Read
    key: Hashable
    params: dict[str, Any] | None
