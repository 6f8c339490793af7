"""The columns of the prediction log, in each Parquet file; docs/monitoring.md describes them.

A prediction has one row, and a request that failed or was refused has one. The inputs and outputs
are columns of their own, named `i_COLUMN` and `o_OUTPUT`; a file has only the columns in which it
has values, so readers take the union by name.
"""

import hashlib

import pyarrow as pa

SCHEMA = "1"
INPUT, OUTPUT = "i_", "o_"
MOMENT = pa.timestamp("us", tz="UTC")

# What every file has. A row is known by its segment and its place in it; see `event_id`.
COLUMNS = pa.schema(
    [
        pa.field("segment", pa.string(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("prediction_id", pa.string()),
        pa.field("received_at", MOMENT, nullable=False),
        pa.field("server", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("digest", pa.string()),
        pa.field("predictor", pa.string()),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("door", pa.string(), nullable=False),
        pa.field("status", pa.int16(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("attempt", pa.int8(), nullable=False),
        pa.field("inclusion", pa.float64(), nullable=False),
        pa.field("subject", pa.string()),
        pa.field("queue_us", pa.int64()),
        pa.field("model_us", pa.int64()),
    ]
)
ANSWERED_BELOW = 400  # the status of a failure or refusal is at least this

# The keys of a file's metadata.
SCHEMA_KEY, SERVER_KEY, MODEL_KEY = "cloche.schema", "cloche.server", "cloche.model"
HASHED_KEY = "cloche.hashed"  # JSON list of the inputs that are hashes
VERSION_KEY, SEGMENT_KEY, REPLACES_KEY = "cloche.version", "cloche.segment", "cloche.replaces"

_HASH = "md5(segment || '/' || place)"
EVENT_ID_SQL = (
    "regexp_replace("
    "lpad(lower(to_hex(epoch_us(received_at) // 1000)), 12, '0') "
    f"|| '7' || substr({_HASH}, 1, 3) || '8' || substr({_HASH}, 4, 15), "
    r"'^(.{8})(.{4})(.{4})(.{4})(.{12})$', '\1-\2-\3-\4-\5')"
)
"""The expression of DuckDB for `event_id`, which no file has as a column."""


def event_id(received_at: int, segment: str, place: int) -> str:
    """Return the identifier of a row, a UUIDv7 (RFC 9562, 5.7).

    It is computed and not stored, because 16 random bytes are as much as the rest of a row.

    Args:
        received_at: The time at which the request was received, in microseconds since 1970.
        segment: The name of the segment that the row was written to.
        place: The place of the row in that segment.
    """
    random = hashlib.md5(f"{segment}/{place}".encode(), usedforsecurity=False).hexdigest()
    digits = f"{received_at // 1000:012x}7{random[:3]}8{random[3:18]}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
