"""Logs of predictions and files of labels, written as servers and people leave them."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cloche.prediction_log import layout
from cloche.prediction_log.columns import COLUMNS
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.label_table import LabelColumns, label_table
from cloche.prediction_log.labels import add_labels
from cloche.prediction_log.reading import Selection, read_log

MODEL = "flight-delay"
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Log:
    """A log in a folder, which tests write to and read."""

    def __init__(self, folder):
        self.destination = Destination.of(str(folder))
        self.segments = 0

    def write(self, *ids, at=MONDAY, version="1", metadata=None, inputs=None, **fields):
        """Write a file with a prediction for each id; fields are the same in all of its rows."""
        self.segments += 1
        segment = f"{self.segments:032x}"
        common = {
            "segment": segment, "server": "5e", "version": version, "predictor": "model",
            "arm": "production", "door": "mlflow", "status": 200, "attempt": 1, "inclusion": 1.0,
            "row": 0, "received_at": at, **fields,
        }  # fmt: skip
        rows = [
            {"prediction_id": key, "request_id": f"r-{key}", **common, "place": place}
            for place, key in enumerate(ids)
        ]
        table = pa.Table.from_pylist(rows, schema=COLUMNS)
        for name, cells in (inputs or {}).items():
            table = table.append_column(f"i_{name}", pa.array(cells))
        path = layout.segment_file(MODEL, at.date(), version, segment)
        self.put(path, table.replace_schema_metadata(metadata))
        return path

    def put(self, path, table):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.destination.put(path, memoryview(sink.getvalue()))

    def add(self, labels, now, *, key="prediction_id", retract=False, **columns):
        """Add labels, given as id → label."""
        frame = pd.DataFrame({"id": list(labels), "late": list(labels.values())})
        named = LabelColumns("id", None if retract else "late", key_kind=key, **columns)
        table = label_table(frame, named, "labels.csv")
        return add_labels(self.destination, MODEL, table, source="labels.csv", now=now)

    def read(self, **selection):
        """The id of each selected prediction, with its label."""
        with read_log(self.destination, Selection(MODEL, **selection)) as log:
            rows = log.table("prediction_id, label").to_pylist()
        return {row["prediction_id"]: row["label"] for row in rows}

    @property
    def labelled(self):
        """The predictions that have a label."""
        return {key: label for key, label in self.read().items() if label is not None}

    def paths(self, folder=""):
        return [file.path for file in self.destination.files(folder)]


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "log")
