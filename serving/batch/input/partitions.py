"""Cuts the input into parts, the same input always into the same parts.

Parts are produced one by one while earlier ones are scored, so that scoring starts at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pyarrow as pa

from cloche.serving.batch.input.csv_header import MOST_RECORD_BYTES, refuse_endless
from cloche.serving.batch.input.formats.catalog import input_format
from cloche.serving.batch.input.formats.format import ColumnarInput, TextInput
from cloche.serving.batch.input.sources import InputFile, fetched, opened, streamed
from cloche.serving.batch.job.part import Part
from cloche.serving.batch.storage import atomic_write
from cloche.serving.batch.storage.arrow_file import arrow_file
from cloche.serving.errors import JobFailed

_COMPLETE = "complete"  # a file in the spool with the number of parts of a stream
_TEXT_ROW_BYTES = 128  # assumed length of a row; it decides how many bytes a text part has
_ROW_BYTES = 512  # a columnar part gets fewer rows if its rows take more memory than this


class Partitioner:
    """Cuts files and streams into parts, and copies parts of streams into the spool directory."""

    def __init__(
        self,
        part_rows: int,
        spool: Path,
        types: Mapping[str, dict[str, str]] = MappingProxyType({}),
        *,
        copies: bool = False,
    ) -> None:
        """Store the settings.

        Args:
            part_rows: The maximum number of rows of a part; text is cut at 128 times as many bytes.
            spool: The directory for copies.
            types: File → types that its columns have in all rows; see `Part`.
            copies: Whether files of object stores are copied, because workers have no credentials.
        """
        self._rows = part_rows
        self._types = types
        self._copies = copies
        self._bytes = part_rows * _TEXT_ROW_BYTES
        self._spool = spool

    def parts(self, files: list[InputFile], done: frozenset[int] = frozenset()) -> Iterator[Part]:
        """Yield the parts of all files in row order; parts in `done` are not copied again.

        Raises:
            JobFailed: A file cannot be read or cut.
        """
        index = 0
        for file in files:
            for part in self._of_file(file, index, done):
                yield replace(part, types=self._types.get(file.name, {}))
                index = part.index + 1

    def stream(self, file: InputFile, stream: Any) -> Iterator[Part]:
        """Yield the parts of a text stream that can be read only once; `file` describes it."""
        for part in self._copied(file, stream, 0, frozenset()):
            yield replace(part, types=self._types.get(file.name, {}))

    def batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Part]:
        """Yield the parts of a stream of record batches that can be read only once.

        Raises:
            JobFailed: A column changes its type, and no signature says which type is right.
        """
        index, schema, kinds = 0, None, None
        for batch in batches:
            rows = batch
            if self._types:
                rows = batch if schema is None else _typed(batch, schema)
                found = rows.to_pandas().dtypes
                if schema is None:
                    schema, kinds = rows.schema, found
                self._refuse_changed_types(found, kinds)
            for start in range(0, rows.num_rows, self._rows):
                piece = rows.slice(start, self._rows)
                place = self._keep(index, arrow_file(pa.Table.from_batches([piece])), ".arrow")
                yield self._spooled(index, place, piece.num_rows)
                index += 1
        atomic_write.write(self._spool / _COMPLETE, str(index).encode())

    def kept(self, done: frozenset[int]) -> list[Part] | None:
        """Return the copied parts that are not in `done`; None if `batches` did not complete."""
        try:
            count = int((self._spool / _COMPLETE).read_text())
        except (OSError, ValueError):
            return None
        places = {index: self._spool / f"{index:06d}.arrow" for index in range(count)}
        return [
            self._spooled(index, place, pa.ipc.open_file(place).get_batch(0).num_rows)
            for index, place in places.items()
            if index not in done
        ]

    def _spooled(self, index: int, place: Path, rows: int) -> Part:
        types = next(iter(self._types.values()), {})  # a stream is the only input
        return Part(index, str(place), "arrow", 0, rows, types=types, transient=True)

    def _refuse_changed_types(self, now: Any, first: Any) -> None:
        settled = next(iter(self._types.values()))
        for name, kind in now.items():
            if kind != first[name] and name not in settled:
                raise JobFailed(
                    f"The column {name!r} is {first[name]} in the first rows and {kind} in later "
                    "ones (a missing value is enough), and the version has no signature that says "
                    "which is right. CAST it in the query to a type that holds all rows, or log "
                    "the model with a signature."
                )

    def _of_file(self, file: InputFile, index: int, done: frozenset[int]) -> Iterator[Part]:
        if isinstance(input_format(file.format), ColumnarInput):
            return self._of_groups(file, index, done)
        if file.local and not file.packed and not file.recoded:
            return self._of_bytes(file, index)
        return self._of_stream(file, index, done)

    def _of_groups(self, file: InputFile, index: int, done: frozenset[int]) -> Iterator[Part]:
        name = file.name
        for group, rows, size in _groups(file):
            wanted = self._rows * _ROW_BYTES * rows // max(size, 1)
            step = max(1, min(self._rows, wanted))
            for start in range(0, rows, step):
                stop = min(start + step, rows)
                if self._copies and not file.local and index not in done:
                    name = fetched(file.name, self._spool, file.fingerprint)
                yield Part(index, name, file.format, start, stop, group, constants=file.constants)
                index += 1

    def _of_bytes(self, file: InputFile, index: int) -> Iterator[Part]:
        cutter = _Cutter(file, self._bytes)
        with streamed(file) as stream:
            for header, start, block, plain in cutter.blocks(stream):
                yield Part(
                    index, file.name, file.format, start, start + len(block), index,
                    header=len(header), constants=file.constants, plain=plain,
                )  # fmt: skip
                index += 1

    def _of_stream(self, file: InputFile, index: int, done: frozenset[int]) -> Iterator[Part]:
        with streamed(file) as stream:
            yield from self._copied(file, stream, index, done)

    def _copied(
        self, file: InputFile, stream: Any, index: int, done: frozenset[int]
    ) -> Iterator[Part]:
        suffix = ".tsv" if file.dialect.delimiter == "\t" else ""
        for header, _, block, plain in _Cutter(file, self._bytes).blocks(stream):
            place = self._spool / f"{index:06d}{suffix}"
            if index not in done:
                place = self._keep(index, header + block, suffix)
            yield Part(
                index, str(place), file.format, len(header), len(header) + len(block), index,
                header=len(header), constants=file.constants, transient=True, plain=plain,
            )  # fmt: skip
            index += 1

    def _keep(self, index: int, content: bytes | memoryview, suffix: str = "") -> Path:
        place = self._spool / f"{index:06d}{suffix}"
        try:
            atomic_write.write(place, content)
        except OSError as error:
            raise JobFailed(f"{place}: cannot be written: {error}") from error
        return place


def _typed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with the schema's types for the columns that hold only missing values."""
    for at, field in enumerate(batch.schema):
        if pa.types.is_null(field.type) and field.name in schema.names:
            kind = schema.field(field.name).type
            batch = batch.set_column(at, field.name, pa.nulls(batch.num_rows, kind))
    return batch


class _Cutter:
    """Cuts a text stream into blocks of whole records."""

    def __init__(self, file: InputFile, size: int) -> None:
        self._file = file
        self._format = cast("TextInput", input_format(file.format))
        self._size = size

    def blocks(self, stream: Any) -> Iterator[tuple[bytes, int, memoryview, bool]]:
        """Yield the header, the offset of a block, the block, and whether it is plain CSV.

        JSON lines have no header. A file without rows has one empty block, so that its header is
        checked. A block may be overwritten when the next one is asked for.
        """
        header, rest = self._format.read_header(stream, self._file)
        window, start, size, first = _Window(stream, rest), len(header), self._size, True
        while True:
            block = window.fill(size)
            last = len(block) < size
            end, plain = self._format.whole_records(block, self._file, last)
            if end or (last and first):
                yield header, start, memoryview(block)[:end], plain
                first = False
            if last:
                return
            window.drop(end)
            start += end
            # a record that is longer than a part needs a larger block
            size = self._size if end else 2 * size
            most = max(MOST_RECORD_BYTES, 4 * self._size)
            refuse_endless(self._file.name, window.length, most)


class _Window:
    """The next bytes of a stream, in memory that is used again: new memory costs much to fill.

    Attributes:
        length: The number of bytes that were read and not dropped.
    """

    def __init__(self, stream: Any, read: bytes) -> None:
        """Begin with bytes that were already read."""
        self._stream, self._buffer, self.length = stream, bytearray(read), len(read)

    def fill(self, size: int) -> bytes | bytearray:
        """Return the next `size` bytes, or fewer at the end; a later call may overwrite them."""
        if len(self._buffer) < size:
            self._buffer = self._buffer.ljust(size, b"\0")
        view = memoryview(self._buffer)
        while self.length < size and (count := self._stream.readinto(view[self.length : size])):
            self.length += count
        whole = len(self._buffer) == size == self.length
        return self._buffer if whole else bytes(view[: min(size, self.length)])

    def drop(self, count: int) -> None:
        """Drop the first bytes."""
        rest = self._buffer[count : self.length]
        self._buffer[: len(rest)] = rest
        self.length = len(rest)


def _groups(file: InputFile) -> Iterator[tuple[int, int, int]]:
    """Yield the number, rows and bytes in memory of each row group or record batch."""
    with opened(file.name) as source:
        try:
            found = cast("ColumnarInput", input_format(file.format)).groups(source)
        except (pa.ArrowInvalid, OSError) as error:
            raise JobFailed(f"{file.name}: is no {file.format} file: {error}") from error
    yield from (group for group in found if group[1])
