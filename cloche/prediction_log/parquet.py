"""Writes tables of predictions as Parquet: small, and the same bytes for the same table."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cloche.prediction_log.columns import (
    INPUT,
    OUTPUT,
    REPLACES_KEY,
    SCHEMA,
    SCHEMA_KEY,
)

_ROW_GROUP = 1 << 17
# Requests come in the order of time: ids, times and places differ little from the row before.
_ENCODINGS = {
    "place": "DELTA_BINARY_PACKED", "received_at": "DELTA_BINARY_PACKED",
    "request_id": "DELTA_BYTE_ARRAY", "prediction_id": "DELTA_BYTE_ARRAY",
}  # fmt: skip
_HASHES = ("subject",)


def parquet(
    table: pa.Table, metadata: Mapping[str, str], replaces: Sequence[str] = ()
) -> pa.Buffer:
    """Return a Parquet file with the rows of a table.

    Args:
        table: Rows of the prediction log.
        metadata: What the file says of itself, by the keys in `columns`.
        replaces: The files whose rows this file has.
    """
    own = {**metadata, SCHEMA_KEY: SCHEMA}
    if replaces:
        own[REPLACES_KEY] = json.dumps(sorted(replaces))
    table = table.replace_schema_metadata(own)
    encodings = dict(_ENCODINGS)
    split = [
        field.name
        for field in table.schema
        if field.name.startswith((INPUT, OUTPUT)) and pa.types.is_floating(field.type)
    ]
    names = [name for name in table.column_names if name not in (*encodings, *split)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", compression_level=3, row_group_size=_ROW_GROUP,
        use_dictionary=[*_dictionary_columns(table, names), *split],
        column_encoding=encodings, write_page_index=False,
    )  # fmt: skip
    return sink.getvalue()


def _dictionary_columns(table: pa.Table, names: list[str]) -> list[str]:
    return [
        f"{name}.list.element" if pa.types.is_list(table.schema.field(name).type) else name
        for name in names
    ]


def by_day(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Iterate over the days (UTC) of a table that is sorted by `received_at`."""
    days: Any = table["received_at"].to_numpy().astype("datetime64[D]")
    begins = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1), len(days)]
    for begin, end in pairwise(begins):
        if end > begin:
            yield days[begin].item(), table.slice(begin, end - begin)
