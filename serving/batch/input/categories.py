"""The categories of dictionary-encoded columns in a whole file or stream.

A part holds only some of them, but pandas must see all categories in the order of the whole input.
"""

from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.serving.batch.input.sources import opened


@lru_cache(maxsize=64)
def dtype_of(source: str, file_format: str, name: str) -> Any:
    """Return the dtype that pandas gives a column of a whole Parquet or Arrow file.

    Raises:
        pa.ArrowException, OSError: The file cannot be read.
    """
    with opened(source) as file:
        if file_format == "parquet":
            return pq.read_table(file, columns=[name], use_threads=False).to_pandas()[name].dtype
        place = pa.ipc.open_file(file).schema.get_field_index(name)
        options = pa.ipc.IpcReadOptions(included_fields=[place])
        return pa.ipc.open_file(file, options=options).read_all().to_pandas()[name].dtype


class Categories:
    """The categories of a stream that is read twice: to collect them and to set them in batches."""

    def __init__(self) -> None:
        self._seen: dict[str, pa.DictionaryArray] = {}

    def see(self, batch: pa.RecordBatch) -> None:
        """Collect the categories of a batch."""
        for field, column in zip(batch.schema, batch.columns, strict=True):
            if pa.types.is_dictionary(field.type):
                known = [self._seen[field.name]] if field.name in self._seen else []
                together = pa.chunked_array([*known, column.slice(0, 0)]).unify_dictionaries()
                self._seen[field.name] = together.chunk(0)

    def complete(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with the categories of the whole stream in its columns."""
        for at, field in enumerate(batch.schema):
            if field.name in self._seen:
                whole = pa.chunked_array([self._seen[field.name], batch.column(at)])
                batch = batch.set_column(at, field, whole.unify_dictionaries().chunk(1))
        return batch
