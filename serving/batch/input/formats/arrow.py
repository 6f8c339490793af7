"""Arrow: tables with types, in record batches; a stream has a form of its own."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from cloche.serving.batch.input.formats.format import ColumnarInput
from cloche.serving.batch.input.readers.arrow_frames import schema_types
from cloche.serving.batch.input.readers.columnar import ColumnarReader, Select
from cloche.serving.batch.input.sources import InputFile
from cloche.serving.errors import JobFailed


def _types(source: Any, file: InputFile, width: int) -> dict[str, str]:  # noqa: ARG001
    reader = pa.ipc.open_file(source)
    batches = range(reader.num_record_batches)
    return schema_types(
        reader.schema,
        lambda name: any(reader.get_batch(at).column(name).null_count for at in batches),
    )


def _groups(source: Any) -> list[tuple[int, int, int]]:
    reader = pa.ipc.open_file(source)
    batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    return [(i, one.num_rows, one.nbytes) for i, one in enumerate(batches)]


def _batches(
    source: Any, group: int, select: Select, texts: Sequence[str]  # noqa: ARG001
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    batch = pa.ipc.open_file(source).get_batch(group)
    names = select(batch.schema)
    return iter([batch if names is None else batch.select(names)])


def _dtype(source: Any, name: str) -> Any:
    at = pa.ipc.open_file(source).schema.get_field_index(name)
    options = pa.ipc.IpcReadOptions(included_fields=[at])
    return pa.ipc.open_file(source, options=options).read_all().to_pandas()[name].dtype


def _read_stream(stream: Any) -> pa.RecordBatchReader:
    try:
        return pa.ipc.open_stream(stream)
    except pa.ArrowInvalid as error:
        raise JobFailed(f"Standard input is no Arrow stream: {error}") from error


FORMAT = ColumnarInput(
    name="arrow",
    suffixes=(".arrow", ".feather", ".ipc"),
    recognized_by=(rb"ARROW1", "an Arrow file: score it with --input-format arrow"),
    columns=lambda source, _: list(pa.ipc.open_file(source).schema.names),
    types=_types,
    reader=partial(ColumnarReader, _batches, _dtype),
    groups=_groups,
    read_stream=_read_stream,
)
