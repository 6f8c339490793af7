"""Seals the labels that came by requests: one file for each day on which some arrived."""

from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa

from cloche.prediction_log import layout
from cloche.prediction_log.destination import Destination
from cloche.prediction_log.erasure import Erasures
from cloche.prediction_log.label_columns import LABELS, put_labels
from cloche.prediction_log.label_values import label_number
from cloche.serving.spool.segment import TakenSegment

SOURCE = "request"
_FIELDS = ("key_kind", "key", "row", "label", "retracted", "labelled_at")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seal_labels(segment: TakenSegment, destination: Destination, _: Erasures) -> None:
    """Write the labels of a segment; of two that arrived at once, the later one is the newer."""
    rows: list[dict[str, Any]] = []
    revision = 0
    for (arrived, labels), _, _ in segment.records():
        revision = max(arrived, revision + 1)
        for label in labels:
            row = dict(zip(_FIELDS, label, strict=True))
            text = row["label"]
            number = None if text is None else label_number(text)
            rows.append(
                {**row, "label_number": number, "arrived_at": arrived, "revision": revision}
            )
    rows.sort(key=lambda row: row["arrived_at"])  # a clock may have been set back
    model = segment.header["model"]
    for day, group in groupby(rows, key=lambda row: _day(row["arrived_at"])):
        columns = [field for field in LABELS if field.name != "source"]
        table = pa.Table.from_pylist([*group], schema=pa.schema(columns))
        path = layout.labels_file(model, day, segment.name)
        put_labels(destination, path, table, {"source": SOURCE})


def _day(microseconds: int) -> date:
    return (_EPOCH + timedelta(microseconds=microseconds)).date()
