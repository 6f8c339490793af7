"""Reads parts of Parquet and Arrow files: only the needed columns, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.types import DataType

from cloche.serving.batch.input.readers.arrow_frames import DICTIONARY, frame_of, plain
from cloche.serving.batch.input.readers.casting import cast
from cloche.serving.batch.input.readers.reader import Reader, ReaderSettings
from cloche.serving.batch.input.readers.rows import Rows, StoredColumns, attach
from cloche.serving.batch.input.sources import opened
from cloche.serving.batch.job.part import Part
from cloche.serving.errors import JobFailed

# Returns which columns are read; None for all.
Select = Callable[[pa.Schema], list[str] | None]
# From a file, the number of a group, and the texts that may come as codes and dictionaries.
Batches = Callable[[Any, int, Select, Sequence[str]], Iterator[pa.RecordBatch]]
Dtype = Callable[[Any, str], Any]


class ColumnarReader(Reader):
    """Reads parts of columnar files; consecutive parts do not read earlier rows again."""

    def __init__(self, batches: Batches, dtype: Dtype, settings: ReaderSettings) -> None:
        """Store the settings.

        Args:
            batches: Returns the batches of a group of a file.
            dtype: Returns the dtype that pandas gives a column of a whole file.
            settings: The settings; without a schema, the model gets tables as pandas stored them.
        """
        self._batches, self._dtype = batches, dtype
        self._model_columns = names = settings.model_columns
        self._carried = carried = settings.carried
        self._types = types = settings.types
        self._stored = settings.schema is None
        texts = [name for name, kind in types.items() if kind is DataType.string]
        self._cursor = _Cursor(
            batches,
            None if names is None else {*names, *carried},
            [str(name) for name in texts if settings.coded and name not in carried],
        )

    def read(self, part: Part) -> Rows:
        """See `Reader.read`."""
        table = self._cursor.table(part)
        typed, refused = self._typed(table, part)
        carried = self._copied(table, part)
        offsets = typed.index.to_numpy(np.int64)
        if refused:
            carried = carried.take(pa.array(offsets))
        return Rows(
            typed.reset_index(drop=True), carried, offsets, table.num_rows,
            lambda wanted: _Cursor(self._batches).table(part).take(pa.array(wanted)).to_pylist(),
            refused,
        )  # fmt: skip

    def columns(self, part: Part) -> StoredColumns | None:
        """See `Reader.columns`. None if a column of texts is empty: pandas takes it for objects."""
        table = self._cursor.table(part)
        names = [str(name) for name, kind in self._types.items() if kind is DataType.string]
        texts = [name for name in names if name in table.column_names]
        if any(table.column(name).null_count == table.num_rows for name in texts):
            return None

        def frame(positions: Any) -> pd.DataFrame | None:
            typed, refused = self._typed(table.take(pa.array(positions)), part)
            return None if refused else typed.astype(dict.fromkeys(texts, "str"))

        return StoredColumns(table, self._copied(table, part), frame)

    def _typed(self, table: pa.Table, part: Part) -> tuple[pd.DataFrame, dict[int, str]]:
        """Return what `cast` returns for the model's columns of a table."""
        names = table.column_names if self._model_columns is None else self._model_columns
        present = [name for name in names if name in table.column_names]
        chosen = table.select(present) if self._stored else plain(table.select(present))
        frame = frame_of(chosen, self._types)
        if self._stored:  # there is no signature that decides the types
            frame = frame.reset_index(drop=True)
            frame = frame.astype(
                {
                    name: self._categories(part, name) if kind == DICTIONARY else kind
                    for name, kind in part.types.items()
                    if name in frame
                }
            )
        attach(frame, {name: part.constants[name] for name in names if name in part.constants})
        return cast(frame, self._types)

    def _categories(self, part: Part, name: str) -> Any:
        """Return the dtype of a column in its whole file, with all categories."""
        try:
            return _dtype_of(self._dtype, part.source, name)
        except (pa.ArrowException, OSError) as error:
            raise JobFailed(f"{part.source}: cannot be read: {error}") from error

    def _copied(self, table: pa.Table, part: Part) -> pa.Table:
        """Return the columns that are copied into the output."""
        carried = _with_constants(table, part.constants)
        return carried.select([name for name in self._carried if name in carried.column_names])


class _Cursor:
    """A reading position in a row group that only moves forward."""

    def __init__(
        self, batches: Batches, wanted: set[str] | None = None, coded: Sequence[str] = ()
    ) -> None:
        self._batches_of = batches
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
        self._batches = self._batches_of(file, part.group, self._names, self._coded)

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


def _with_constants(table: pa.Table, constants: dict[str, str]) -> pa.Table:
    for name, value in constants.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
    return table


@lru_cache(maxsize=64)
def _dtype_of(dtype: Dtype, source: str, name: str) -> Any:
    with opened(source) as file:
        return dtype(file, name)
