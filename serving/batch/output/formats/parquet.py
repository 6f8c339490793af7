"""Parquet: tables with types, in row groups."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.serving.batch.output.formats.format import ColumnarOutput

_COMPRESSION = "zstd"


def _writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer; only text gets dictionaries: for scores they cost more than all the rest."""
    text = [
        one.name
        for one in schema
        if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)
    ]
    return pq.ParquetWriter(sink, schema, compression=_COMPRESSION, use_dictionary=text or False)


FORMAT = ColumnarOutput(
    name="parquet",
    suffixes=(".parquet", ".pq"),
    open_writer=_writer,
    read_schema=pq.read_schema,
    read=pq.read_table,
)
