"""The columns of labels at the destination of the log, and the names of their keys."""

import pyarrow as pa

from cloche.prediction_log.columns import MOMENT

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
