"""Reads parts on an executor into rows of Spark.

Each part begins with a head row. Its column `head` is for the write stage: all data that the model
does not need, as an Arrow file, because Spark lacks some of Arrow's types. Its column `message` is
for the model: the pandas dtypes of the columns, so that the model gets the same frame as elsewhere.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import pyarrow as pa
from mlflow.types import Schema

from cloche.serving.batch.input.readers.rows import Rows
from cloche.serving.batch.input.sources import fetched
from cloche.serving.batch.job.part import Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.scoring.predict import PartScorer
from cloche.serving.batch.scoring.worker import Worker
from cloche.serving.batch.spark.columns import SparkColumns
from cloche.serving.batch.storage.arrow_file import arrow_file
from cloche.serving.errors import ServingError

# A part and how to process it; see `cloche.serving.batch.spark.part_scheduler`.
PartRequest = dict[str, Any]


class UnloadedScorer(PartScorer):
    """A version's signature without its model, which is enough to read and write parts."""

    def __init__(self, schema: Schema | None) -> None:
        self._schema = schema
        self._twin = None

    @property
    def schema(self) -> Schema | None:
        """The input schema of the version; None without a signature."""
        return self._schema


@lru_cache(maxsize=1)
def unloaded_worker(job: str, schema: str, directory: str) -> Worker:
    """Return a worker without a model; cached, because its readers keep their file positions."""
    scorer = UnloadedScorer(Schema.from_json(schema) if schema else None)
    return Worker(Job.from_json(json.loads(job)), Path(directory), scorer)


class ReadStage:
    """The first stage on executors: reads the requested parts."""

    def __init__(
        self, job: str, schema: str, directory: str, columns: SparkColumns,
        requests: list[PartRequest],
    ) -> None:  # fmt: skip
        self._about = (job, schema, directory)
        self._columns = columns
        self._requests = requests

    def batches(self, ids: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows for the requests with these numbers."""
        for batch in ids:
            for at in batch.column("id").to_pylist():
                yield from self._answer(self._requests[at])

    def _answer(self, request: PartRequest) -> Iterator[pa.RecordBatch]:
        if "flow" not in request:
            yield self._head(None, self._fetched(request))
            return
        started = perf_counter()
        try:
            rows = unloaded_worker(*self._about).read(Part(**request["part"]))
        except ServingError as error:
            yield self._head(None, {"failed": str(error)})
            return
        try:
            inputs, dtypes = _plain(rows.inputs, self._columns)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            yield self._head(None, {"unfit": str(error)})
            return
        read = perf_counter() - started
        yield self._head(_packed(rows, request["part"], read), {"columns": dtypes})
        if len(rows.inputs):
            empty = [pa.nulls(len(rows.inputs), kind) for kind in (pa.binary(), pa.string())]
            yield pa.RecordBatch.from_arrays([*empty, *inputs], schema=self._columns.row)

    def _fetched(self, request: PartRequest) -> PartRequest:
        """Copy the source of a part from an object store, as the score stage has no credentials."""
        part = request["part"]
        if "://" not in part["source"]:
            return request
        try:
            copy = fetched(part["source"], Path(self._about[2]).parent / "spool")
        except ServingError as error:
            return {"failed": str(error)}
        return request | {"part": part | {"source": copy}}

    def _head(self, packed: memoryview | None, message: dict[str, Any]) -> pa.RecordBatch:
        zeros = [pa.array([kind.zero], kind.arrow) for kind in self._columns.inputs.values()]
        head = [pa.array([packed], pa.binary()), pa.array([json.dumps(message)], pa.string())]
        return pa.RecordBatch.from_arrays([*head, *zeros], schema=self._columns.row)


def _plain(frame: pd.DataFrame, columns: SparkColumns) -> tuple[list[pa.Array], dict[str, str]]:
    """Return the columns in their Arrow types, and name → pandas dtype of the present ones.

    Raises:
        ValueError, pa.ArrowException: The conversion would change a value.
    """
    arrays = []
    for name, kind in columns.inputs.items():
        if name not in frame.columns:
            arrays.append(pa.nulls(len(frame), kind.arrow))
            continue
        column = frame[name]
        if column.dtype == object and column.isna().any():
            raise ValueError(f"column {name!r} has several kinds of nothing")
        arrays.append(pa.array(column, kind.arrow, from_pandas=True))
    return arrays, {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def rebuild_frame(
    frame: pd.DataFrame, dtypes: dict[str, Any], columns: SparkColumns
) -> pd.DataFrame:
    """Return the frame of the reader, rebuilt from the columns that came through Spark."""
    found = {}
    for name, dtype in dtypes.items():
        column: Any = frame[f"i{list(columns.inputs).index(name)}"]
        found[name] = column if str(column.dtype) == dtype else column.astype(dtype)
    return pd.DataFrame(found, index=frame.index).reset_index(drop=True)


_OFFSETS = "offset"


def _packed(rows: Rows, part: dict[str, Any], seconds: float) -> memoryview:
    """Serialize what the write stage needs of the rows besides their predictions."""
    about = {"part": part, "count": rows.count, "refused": rows.refused, "seconds": seconds}
    offsets = pa.array(rows.offsets, pa.int64())
    carried = rows.carried.columns
    table = pa.table([offsets, *carried], [_OFFSETS, *rows.carried.column_names])
    return arrow_file(table.replace_schema_metadata({"cloche": json.dumps(about)}))


def unpacked(packed: bytes, worker: Worker) -> tuple[Part, Rows, float]:
    """Return the part, its rows without the model's inputs, and the seconds of reading them."""
    table = pa.ipc.open_file(pa.BufferReader(packed)).read_all()
    about = json.loads(table.schema.metadata[b"cloche"])
    part = Part(**about["part"])
    refused = {int(offset): reason for offset, reason in about["refused"].items()}
    rows = Rows(
        pd.DataFrame(index=pd.RangeIndex(table.num_rows)),
        table.select(range(1, table.num_columns)).replace_schema_metadata(None),
        table.column(0).to_numpy(), about["count"],
        lambda wanted: worker.read(part).originals(wanted), refused,
    )  # fmt: skip
    return part, rows, about["seconds"]
