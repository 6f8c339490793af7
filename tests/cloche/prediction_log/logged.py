"""Logs that tests write: files of predictions and labels, as sealing leaves them."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import COLUMNS
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.files import prediction_files
from cloche.prediction_log.label_columns import LABELS
from cloche.prediction_log.parquet import by_day, parquet

HOUR = 3_600_000_000
NOON = 1_764_590_400_000_000  # 2025-12-01 12:00 UTC, in microseconds
NOON_HOUR = NOON // HOUR


def predictions(segment: str, rows: int, begin: int = NOON, **changed: Any) -> pa.Table:
    """Rows of one segment, a second apart; what is changed is a value, or a list of values."""
    defaults: dict[str, Any] = {
        "segment": segment, "place": list(range(rows)),
        "request_id": [f"{segment}-{n}" for n in range(rows)], "row": 0, "prediction_id": None,
        "received_at": [begin + n * 1_000_000 for n in range(rows)], "server": "5e12",
        "version": "7", "digest": None, "predictor": "model", "arm": "production",
        "door": "mlflow", "status": 200, "reason": None, "attempt": 1, "inclusion": 1.0,
        "subject": None, "queue_us": 1, "model_us": 2,
    }  # fmt: skip
    cells = {
        name: value if isinstance(value, list) else [value] * rows
        for name, value in (defaults | changed).items()
    }
    own = {name: pa.array(cells.pop(name)) for name in list(cells) if name not in COLUMNS.names}
    arrays = [pa.array(cells[field.name], field.type) for field in COLUMNS]
    schema = pa.schema([*COLUMNS, *(pa.field(name, column.type) for name, column in own.items())])
    return pa.table([*arrays, *own.values()], schema=schema)


def put(log: Destination, segment: str, rows: int, model: str = "m", **changed: Any) -> None:
    table = predictions(segment, rows, **changed)
    for day, part in by_day(table):
        path = layout.segment_file(model, day, table["version"][0].as_py(), segment)
        log.put(path, parquet(part, {}))


def put_labels(log: Destination, name: str, keys: list[tuple[str, str]], model: str = "m") -> None:
    """Put labels, by kind of key and key, into a file."""
    moment = datetime(2025, 12, 4, tzinfo=UTC)
    shared = {"row": 0, "label": "1", "retracted": False, "arrived_at": moment, "revision": 1,
              "source": "t"}  # fmt: skip
    rows = [{"key_kind": kind, "key": key, **shared} for kind, key in keys]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, LABELS), sink)
    log.put(layout.labels_file(model, moment.date(), name), sink.getvalue())


def read(log: Destination, model: str = "m") -> pa.Table:
    """The rows that readers get."""
    files = prediction_files(log, model)
    tables = [pq.read_table(pa.BufferReader(log.read(file.path) or b"")) for file in files]
    return pa.concat_tables(tables, promote_options="default") if tables else predictions("", 0)


def ids(table: pa.Table) -> list[str]:
    found: list[str] = sorted(table["request_id"].to_pylist())
    return found
