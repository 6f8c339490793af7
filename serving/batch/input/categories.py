"""The categories of dictionary-encoded columns in a whole stream.

A part holds only some of them, but pandas must see all categories in the order of the whole input.
"""

from typing import Any

import pyarrow as pa

from cloche.serving.batch.input.readers.arrow_frames import schema_types


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


def stream_types(reader: Any, categories: Categories) -> dict[str, str]:
    """Return column → type in all batches of a stream, if a part may show another."""
    gaps: set[str] = set()
    for batch in reader:
        categories.see(batch)
        gaps |= {
            name
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
            if column.null_count
        }
    return schema_types(reader.schema, gaps.__contains__)
