"""Writes scored parts to files on an executor, and sends only their records to the driver."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from cloche.serving.batch.output.part_writer import RefusedRow
from cloche.serving.batch.spark.read_stage import unloaded_worker, unpacked
from cloche.serving.batch.spark.safe_model import DIVIDED
from cloche.serving.errors import ServingError

RECORD_DDL = "record string"


class WriteStage:
    """The last stage on executors: writes the scored parts."""

    def __init__(self, job: str, schema: str, directory: str) -> None:
        self._worker_arguments = (job, schema, directory)

    def batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write a part from its scored rows, and yield its record as JSON."""
        pieces = list(batches)
        if pieces:
            record = self._record(pa.Table.from_batches(pieces))
            yield pa.RecordBatch.from_pydict({"record": [json.dumps(record)]})

    def _record(self, answered: pa.Table) -> dict[str, Any]:
        answer = answered.column("answer").combine_chunks()
        message: dict[str, Any] = json.loads(answer.field("message")[0].as_py())
        if "rows" not in message:  # a message without rows is the record itself
            return message
        packed = answered.column("head")[0].as_py()
        try:
            return self._write_part(packed, answer.slice(1), message)
        except ServingError as error:
            return {"failed": str(error)}

    def _write_part(
        self, packed: bytes, answer: pa.StructArray, message: dict[str, Any]
    ) -> dict[str, Any]:
        worker = unloaded_worker(*self._worker_arguments)
        part, rows, read = unpacked(packed, worker)
        if not message["rows"] == len(answer) == len(rows.offsets):
            return {"unfit": DIVIDED}
        reasons = answer.field("refused").to_pylist() if len(answer) else []
        scored = np.flatnonzero(np.array([not reason for reason in reasons], bool))
        refused = {offset: RefusedRow(reason) for offset, reason in rows.refused.items()}
        for at, reason in enumerate(reasons):
            if reason:
                refused[int(rows.offsets[at])] = RefusedRow(*json.loads(reason))
        tables = [_predictions(answer, scored, message["schema"])] if "schema" in message else []
        finished = worker.writer.write(part, rows, scored, tables, refused)
        seconds = {"all": read + message["seconds"], "read": read, "model": message["seconds"]}
        finished = replace(
            finished, seconds=seconds, by_twin=message["by_twin"],
            statistics=finished.statistics | message["statistics"],
        )  # fmt: skip
        return {"finished": finished.to_json()}


def _predictions(answer: pa.StructArray, scored: Any, schema: str) -> pa.Table:
    """Return the prediction columns in the types that the model returned."""
    fields = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(schema)))
    columns = []
    for at, field in enumerate(fields):
        columns.append(answer.field(f"o{at}").take(pa.array(scored)).cast(field.type))
    return pa.table(columns, schema=fields)
