"""Fast parsing of requests that differ from an earlier one only in the bytes of their tensors.

Clients send the same names, shapes and datatypes again and again. These are parsed once, and the
bytes of a row are then unpacked by a single `struct`: otherwise parsing twelve tensors of one
element each would take longer than predicting.
"""

import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from cloche.serving.host.codecs.open_inference.request import OpenInferenceRequest
from cloche.serving.host.codecs.open_inference.tensors import BYTES, FORMATS, LENGTH
from cloche.serving.host.parsing.column_decoder import Row, Table

_MOST = 512  # maximum number of templates
_LONGEST = 16 * 1024  # maximum size of a template's key in bytes


class RequestTemplates:
    """The templates learned for columns with these names and native datatypes."""

    def __init__(self, names: Sequence[str], natives: Sequence[str]) -> None:
        self._names = list(names)
        self._natives = dict(zip(names, natives, strict=True))
        self._known: dict[Hashable, _Template] = {}

    def recall(self, key: Hashable, data: bytes) -> tuple[OpenInferenceRequest, Table] | None:
        """Parse a request by its template; None if there is none."""
        template = self._known.get(key)
        row = template.read(data) if template is not None else None
        if template is None or row is None:
            return None
        return template.request, Table(template.key, [row], template.params)

    def learn(self, key: Hashable, size: int, request: OpenInferenceRequest, table: Table) -> None:
        """Store the template of a request with one row and a key of `size` bytes, if possible."""
        read = self._reader(request) if table.length == 1 and size <= _LONGEST else None
        if read is None:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = _Template(request._replace(tensors={}), read, table.key, table.params)

    def _reader(self, request: OpenInferenceRequest) -> "_Read | None":
        """Return the function that unpacks one row of such tensors; None if it is not possible."""
        tensors = request.tensors.values()
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
        place = {name: at for at, name in enumerate(request.tensors)}
        order = [place[name] for name in self._names]
        texts = [at for at, name in enumerate(self._names) if self._natives[name] == BYTES]

        def read(data: bytes) -> Row | None:
            try:
                cells = layout.unpack(data)
                row = [cells[at] for at in order]
                for at in texts:
                    text = row[at]
                    if LENGTH.unpack_from(text)[0] != len(text) - 4:
                        return None
                    row[at] = text[4:].decode()
            except (struct.error, UnicodeDecodeError):  # the full parser reports the mistake
                return None
            return row

        return read


_Read = Callable[[bytes], Row | None]


class _Template(NamedTuple):
    """A template: a request without tensors, and the function that reads its row."""

    request: OpenInferenceRequest
    read: _Read
    key: Hashable
    params: dict[str, Any] | None
