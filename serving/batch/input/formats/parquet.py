"""Parquet: tables with types, in row groups."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.serving.batch.input.formats.format import ColumnarInput
from cloche.serving.batch.input.readers.arrow_frames import schema_types
from cloche.serving.batch.input.readers.columnar import ColumnarReader, Select
from cloche.serving.batch.input.sources import InputFile


def _types(source: Any, file: InputFile, width: int) -> dict[str, str]:  # noqa: ARG001
    parquet = pq.ParquetFile(source)
    groups = [parquet.metadata.row_group(at) for at in range(parquet.metadata.num_row_groups)]
    leaves = {parquet.schema.column(at).path: at for at in range(len(parquet.schema))}

    def gaps(name: str) -> bool:
        stored = [group.column(leaves[name]).statistics for group in groups]
        if all(one is not None and one.has_null_count for one in stored):
            return any(one.null_count for one in stored)
        batches = parquet.iter_batches(columns=[name])
        return any(batch.column(0).null_count for batch in batches)

    return schema_types(parquet.schema_arrow, gaps)


def _groups(source: Any) -> list[tuple[int, int, int]]:
    metadata = pq.ParquetFile(source).metadata
    sizes = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return [(i, one.num_rows, one.total_byte_size) for i, one in enumerate(sizes)]


def _batches(
    source: Any, group: int, select: Select, texts: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    # the file is local: `pre_buffer` would hold the group's whole columns in memory
    open_file = partial(pq.ParquetFile, source, buffer_size=1 << 18, pre_buffer=False)
    reader = open_file()
    if coded := [name for name in texts if _is_text(reader.schema_arrow, name)]:
        reader = open_file(metadata=reader.metadata, read_dictionary=coded)
    batches: Iterator[pa.RecordBatch] = reader.iter_batches(
        batch_size=1 << 16,
        row_groups=[group],
        columns=select(reader.schema_arrow),
        use_threads=False,
    )
    return batches


def _is_text(schema: pa.Schema, name: str) -> bool:
    return name in schema.names and pa.types.is_string(schema.field(name).type)


def _dtype(source: Any, name: str) -> Any:
    return pq.read_table(source, columns=[name], use_threads=False).to_pandas()[name].dtype


FORMAT = ColumnarInput(
    name="parquet",
    suffixes=(".parquet", ".pq"),
    recognized_by=(rb"PAR1", "a Parquet file: score it with --input-format parquet"),
    columns=lambda source, _: list(pq.read_schema(source).names),
    types=_types,
    reader=partial(ColumnarReader, _batches, _dtype),
    groups=_groups,
)
