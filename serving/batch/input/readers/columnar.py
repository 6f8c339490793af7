"""Reads parts of Parquet and Arrow files: only the needed columns, batch by batch."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.types import DataType

from cloche.serving.batch.input.categories import dtype_of
from cloche.serving.batch.input.readers.casting import INTEGERS, Types, cast, type_of
from cloche.serving.batch.input.readers.rows import Rows, attach
from cloche.serving.batch.input.sources import opened
from cloche.serving.batch.input.type_inference import DICTIONARY
from cloche.serving.batch.job.part import Part
from cloche.serving.errors import JobFailed

_NULLABLE = {
    getattr(pa, kind.name.lower())(): kind
    for kind in (
        pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype(),
        pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype(),
    )
}  # fmt: skip


class ColumnarReader:
    """Reads parts of columnar files; consecutive parts do not read earlier rows again."""

    def __init__(
        self, inputs: Sequence[str] | None, carried: Sequence[str], types: Types, *, stored: bool
    ) -> None:
        """Store the settings; if `stored`, the model gets the table as pandas stored it."""
        self._inputs = inputs
        self._carried = carried
        self._types = types
        self._stored = stored
        self._cursor = _Cursor(None if inputs is None else {*inputs, *carried})

    def read(self, part: Part) -> Rows:
        """Return the typed rows of a part.

        Raises:
            JobFailed: The file cannot be read.
        """
        table = self._cursor.table(part)
        names = table.column_names if self._inputs is None else self._inputs
        present = [name for name in names if name in table.column_names]
        chosen = table.select(present) if self._stored else _plain(table.select(present))
        frame = chosen.to_pandas()
        for at, name in enumerate(present):
            kind = type_of(self._types, name, at)
            exact = kind in INTEGERS or kind is DataType.string
            if exact and chosen.column(name).null_count:
                # without a nullable type, integers become doubles, rounded beyond 2^53
                frame[name] = chosen.column(name).to_pandas(types_mapper=_NULLABLE.get)
        if self._stored:  # there is no signature that decides the types
            frame = frame.reset_index(drop=True)
            frame = frame.astype(
                {
                    name: _categories(part, name) if kind == DICTIONARY else kind
                    for name, kind in part.types.items()
                    if name in frame
                }
            )
        attach(frame, {name: part.constants[name] for name in names if name in part.constants})
        typed, refused = cast(frame, self._types)
        carried = _with_constants(table, part.constants)
        carried = carried.select([name for name in self._carried if name in carried.column_names])
        offsets = typed.index.to_numpy(np.int64)
        if refused:
            carried = carried.take(pa.array(offsets))
        return Rows(
            typed.reset_index(drop=True), carried, offsets, table.num_rows,
            lambda wanted: _Cursor(None).table(part).take(pa.array(wanted)).to_pylist(), refused,
        )  # fmt: skip


class _Cursor:
    """A reading position in a row group that only moves forward."""

    def __init__(self, wanted: set[str] | None) -> None:
        self._wanted = wanted
        self._at: tuple[str, int] | None = None
        self._row = 0
        self._rest: pa.Table | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._files = ExitStack()

    def table(self, part: Part) -> pa.Table:
        """Return the rows of a part; opens its file if the position is not already before it."""
        try:
            if self._at != (part.source, part.group) or self._row > part.start:
                self._open(part)
            self._take(part.start - self._row)
            return self._take(part.stop - part.start)
        except (pa.ArrowException, OSError) as error:
            raise JobFailed(f"{part.source}: cannot be read: {error}") from error

    def _open(self, part: Part) -> None:
        self._files.close()
        self._at, self._row, self._rest = (part.source, part.group), 0, None
        file = self._files.enter_context(opened(part.source))
        if part.format == "parquet":
            reader = pq.ParquetFile(file, buffer_size=1 << 20)
            self._batches = reader.iter_batches(
                batch_size=1 << 16,
                row_groups=[part.group],
                columns=self._names(reader.schema_arrow),
                use_threads=False,
            )
        else:
            batch = pa.ipc.open_file(file).get_batch(part.group)
            names = self._names(batch.schema)
            self._batches = iter([batch if names is None else batch.select(names)])

    def _names(self, schema: pa.Schema) -> list[str] | None:
        if self._wanted is None:
            return None
        return [name for name in schema.names if name in self._wanted]

    def _take(self, count: int) -> pa.Table:
        """Return the next `count` rows."""
        pieces = [] if self._rest is None else [self._rest]
        have = sum(piece.num_rows for piece in pieces)
        while have < count:
            batch = next(self._batches, None)
            if batch is None:
                raise pa.ArrowInvalid("it has fewer rows than when the job began")
            pieces.append(pa.Table.from_batches([batch]))
            have += batch.num_rows
        if not pieces:
            return pa.table({})
        table = pa.concat_tables(pieces) if len(pieces) > 1 else pieces[0]
        self._row += count
        self._rest = table.slice(count)
        return table.slice(0, count)


def _categories(part: Part, name: str) -> Any:
    """Return the dtype of a dictionary-encoded column in its whole file, with all categories."""
    try:
        return dtype_of(part.source, part.format, name)
    except (pa.ArrowException, OSError) as error:
        raise JobFailed(f"{part.source}: cannot be read: {error}") from error


def _plain(table: pa.Table) -> pa.Table:
    """Decode dictionaries and drop pandas' metadata, so that every part has the same types.

    Decimals become int64 or float64, because signatures have no decimals.
    """
    for index, column in enumerate(table.schema):
        if pa.types.is_decimal(column.type):
            with suppress(pa.ArrowInvalid):  # decimals of more than 64 bits stay
                number = pa.float64() if column.type.scale else pa.int64()
                table = table.set_column(index, column.name, table.column(index).cast(number))
        elif pa.types.is_dictionary(column.type):
            decoded = table.column(index).cast(column.type.value_type)
            table = table.set_column(index, column.name, decoded)
    return table.replace_schema_metadata(None)


def _with_constants(table: pa.Table, constants: dict[str, str]) -> pa.Table:
    for name, value in constants.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
    return table
