"""Reads parts of Parquet and Arrow files: only the needed columns, batch by batch."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.types import DataType

from cloche.serving.batch.input.categories import dtype_of
from cloche.serving.batch.input.readers.arrow_frames import frame_of, plain
from cloche.serving.batch.input.readers.casting import Types, cast
from cloche.serving.batch.input.readers.rows import Columns, Rows, attach
from cloche.serving.batch.input.sources import opened
from cloche.serving.batch.input.type_inference import DICTIONARY
from cloche.serving.batch.job.part import Part
from cloche.serving.errors import JobFailed


class ColumnarReader:
    """Reads parts of columnar files; consecutive parts do not read earlier rows again."""

    def __init__(
        self, inputs: Sequence[str] | None, carried: Sequence[str], types: Types, *, stored: bool,
        coded: bool = False,
    ) -> None:  # fmt: skip
        """Store the settings.

        Args:
            inputs: The names of the model's columns; None for all columns.
            carried: The names of the columns that are copied into the output.
            types: The column types of the signature.
            stored: Whether the model gets the table as pandas stored it.
            coded: Whether the model's texts are read as codes and dictionaries where a Parquet
                file has them so.
        """
        self._inputs = inputs
        self._carried = carried
        self._types = types
        self._stored = stored
        texts = [name for name, kind in types.items() if kind is DataType.string]
        self._cursor = _Cursor(
            None if inputs is None else {*inputs, *carried},
            [str(name) for name in texts if coded and name not in carried],
        )

    def read(self, part: Part) -> Rows:
        """Return the typed rows of a part.

        Raises:
            JobFailed: The file cannot be read.
        """
        table = self._cursor.table(part)
        typed, refused = self._typed(table, part)
        carried = self._copied(table, part)
        offsets = typed.index.to_numpy(np.int64)
        if refused:
            carried = carried.take(pa.array(offsets))
        return Rows(
            typed.reset_index(drop=True), carried, offsets, table.num_rows,
            lambda wanted: _Cursor(None).table(part).take(pa.array(wanted)).to_pylist(), refused,
        )  # fmt: skip

    def columns(self, part: Part) -> Columns | None:
        """Return the rows of a part as they are stored.

        None if a column of texts is empty, which pandas takes for objects.

        Raises:
            JobFailed: The file cannot be read.
        """
        table = self._cursor.table(part)
        names = [str(name) for name, kind in self._types.items() if kind is DataType.string]
        texts = [name for name in names if name in table.column_names]
        if any(table.column(name).null_count == table.num_rows for name in texts):
            return None

        def frame(positions: Any) -> pd.DataFrame | None:
            typed, refused = self._typed(table.take(pa.array(positions)), part)
            return None if refused else typed.astype(dict.fromkeys(texts, "str"))

        return Columns(table, self._copied(table, part), frame)

    def _typed(self, table: pa.Table, part: Part) -> tuple[pd.DataFrame, dict[int, str]]:
        """Return what `cast` returns for the model's columns of a table."""
        names = table.column_names if self._inputs is None else self._inputs
        present = [name for name in names if name in table.column_names]
        chosen = table.select(present) if self._stored else plain(table.select(present))
        frame = frame_of(chosen, self._types)
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
        return cast(frame, self._types)

    def _copied(self, table: pa.Table, part: Part) -> pa.Table:
        """Return the columns that are copied into the output."""
        carried = _with_constants(table, part.constants)
        return carried.select([name for name in self._carried if name in carried.column_names])


class _Cursor:
    """A reading position in a row group that only moves forward."""

    def __init__(self, wanted: set[str] | None, coded: Sequence[str] = ()) -> None:
        self._wanted = wanted
        self._coded = coded
        self._last: tuple[Part, pa.Table] | None = None
        self._at: tuple[str, int] | None = None
        self._row = 0
        self._rest: pa.Table | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._files = ExitStack()

    def table(self, part: Part) -> pa.Table:
        """Return the rows of a part; opens its file if the position is not already before it."""
        if self._last is not None and self._last[0] == part:
            return self._last[1]
        self._last = None  # two parts would take twice the memory
        try:
            if self._at != (part.source, part.group) or self._row > part.start:
                self._open(part)
            self._take(part.start - self._row)
            self._last = part, self._take(part.stop - part.start)
            return self._last[1]
        except (pa.ArrowException, OSError) as error:
            raise JobFailed(f"{part.source}: cannot be read: {error}") from error

    def _open(self, part: Part) -> None:
        self._files.close()
        self._at, self._row, self._rest = (part.source, part.group), 0, None
        file = self._files.enter_context(opened(part.source))
        if part.format == "parquet":
            reader = pq.ParquetFile(file, buffer_size=1 << 20)
            if coded := [name for name in self._coded if _is_text(reader.schema_arrow, name)]:
                known = reader.metadata
                reader = pq.ParquetFile(
                    file, buffer_size=1 << 20, metadata=known, read_dictionary=coded
                )
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


def _is_text(schema: pa.Schema, name: str) -> bool:
    return name in schema.names and pa.types.is_string(schema.field(name).type)


def _categories(part: Part, name: str) -> Any:
    """Return the dtype of a dictionary-encoded column in its whole file, with all categories."""
    try:
        return dtype_of(part.source, part.format, name)
    except (pa.ArrowException, OSError) as error:
        raise JobFailed(f"{part.source}: cannot be read: {error}") from error


def _with_constants(table: pa.Table, constants: dict[str, str]) -> pa.Table:
    for name, value in constants.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
    return table
