"""The columns of labels at the destination of the log, and how a file of them is written."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.prediction_log.columns import MOMENT, SCHEMA, SCHEMA_KEY
from cloche.prediction_log.destination import Destination

PREDICTION_ID, REQUEST_ID = "prediction_id", "request_id"
LABELS = pa.schema(
    [
        pa.field("key_kind", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("row", pa.int32()),  # null: every row that the key has, which is usually one
        pa.field("label", pa.string()),
        pa.field("label_number", pa.float64()),
        pa.field("retracted", pa.bool_(), nullable=False),
        pa.field("labelled_at", MOMENT),
        pa.field("arrived_at", MOMENT, nullable=False),
        pa.field("revision", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)
QUARANTINED = LABELS.append(pa.field("reason", pa.string()))


def put_labels(
    destination: Destination,
    path: str,
    labels: pa.Table,
    stamp: Mapping[str, Any],
    schema: pa.Schema = LABELS,
) -> None:
    """Write a file of labels.

    Args:
        destination: Where the log is.
        path: Path of the file there.
        labels: n labels, with the columns that `stamp` does not give.
        stamp: Column → its value in all rows.
        schema: Columns of the file.
    """
    columns = [
        pa.repeat(pa.scalar(stamp[field.name], field.type), len(labels))
        if field.name in stamp
        else labels[field.name].cast(field.type)
        for field in schema
    ]
    sink = pa.BufferOutputStream()
    table = pa.table(columns, schema=schema.with_metadata({SCHEMA_KEY: SCHEMA}))
    pq.write_table(table, sink, compression="zstd")
    destination.put(path, memoryview(sink.getvalue()))
