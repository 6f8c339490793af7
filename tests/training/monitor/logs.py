"""Writes logs as servers and `cloche labels add` leave them, from tables of predictions."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cloche.prediction_log import layout
from cloche.prediction_log.columns import COLUMNS, INPUT, OUTPUT
from cloche.prediction_log.label_columns import LABELS

DAY = timedelta(days=1)


def write_predictions(
    log: Path, model: str, version: str, *, times: "pd.Series[pd.Timestamp]",
    ids: "pd.Series[str]", inputs: pd.DataFrame, outputs: pd.DataFrame, inclusion: float = 1.0,
) -> None:  # fmt: skip
    """Write (n rows) of requests with one row each; a file for each day (UTC)."""
    columns = {
        **{INPUT + name: inputs[name].to_numpy() for name in inputs.columns},
        **{OUTPUT + name: outputs[name].to_numpy() for name in outputs.columns},
    }
    for day, at in times.groupby(times.dt.date).indices.items():
        segment, n = f"{version}{day:%Y%m%d}", len(at)
        fixed = {
            "segment": [segment] * n, "place": np.arange(n, dtype=np.int32),
            "request_id": ids.iloc[at].to_list(), "row": np.zeros(n, np.int32),
            "prediction_id": ids.iloc[at].to_list(),
            "received_at": times.iloc[at].dt.tz_localize("UTC").to_list(),
            "server": ["s"] * n, "version": [version] * n, "digest": ["d"] * n,
            "predictor": ["model"] * n, "arm": ["production"] * n, "door": ["mlflow"] * n,
            "status": np.full(n, 200, np.int16), "reason": [None] * n,
            "attempt": np.zeros(n, np.int8), "inclusion": np.full(n, inclusion),
            "subject": [None] * n, "queue_us": np.full(n, 10), "model_us": np.full(n, 900),
        }  # fmt: skip
        table = pa.table(
            {name: pa.array(fixed[name], COLUMNS.field(name).type) for name in COLUMNS.names}
        )
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values[at], from_pandas=True))
        _write(table, log / layout.segment_file(model, day, version, segment))


def write_labels(
    log: Path, model: str, *, ids: "pd.Series[str]", labels: "pd.Series[int]",
    arrived: "pd.Series[pd.Timestamp]",
) -> None:  # fmt: skip
    """Write (n) labels; a file for each day (UTC) on which they arrived."""
    for day, at in arrived.groupby(arrived.dt.date).indices.items():
        n = len(at)
        moments = arrived.iloc[at].dt.tz_localize("UTC")
        fixed = {
            "key_kind": ["prediction_id"] * n, "key": ids.iloc[at].to_list(),
            "row": [0] * n, "label": labels.iloc[at].astype(str).to_list(),
            "label_number": labels.iloc[at].astype(float).to_list(), "retracted": [False] * n,
            "labelled_at": moments.to_list(), "arrived_at": moments.to_list(),
            "revision": moments.astype("int64").to_list(), "source": ["test"] * n,
        }  # fmt: skip
        table = pa.table(
            {name: pa.array(fixed[name], LABELS.field(name).type) for name in LABELS.names}
        )
        _write(table, log / layout.labels_file(model, day, "labels"))


def moment(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00")


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")
