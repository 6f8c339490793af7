"""Writes the files of a part: its output rows, and its refused rows for the quarantine."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from cloche.serving.batch.input.readers.rows import Rows
from cloche.serving.batch.job.part import FinishedPart, Part, PartFile
from cloche.serving.batch.job.pinned_job import Job, metadata, version_labels
from cloche.serving.batch.output.formats.catalog import output_format
from cloche.serving.batch.output.formats.format import TextOutput
from cloche.serving.batch.output.merged_schema import concatenate
from cloche.serving.batch.storage import atomic_write
from cloche.serving.batch.storage.arrow_file import arrow_file
from cloche.serving.errors import RESUME, JobFailed

_write_file = partial(atomic_write.write, contested=True)  # abandoned Spark tasks may still run


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """The reason why a row is in quarantine: the report counts the kind and omits the detail."""

    kind: str
    detail: str = ""

    def __str__(self) -> str:
        """The reason as written to the quarantine."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class PartWriter:
    """Writes the files of parts of one job into a directory."""

    def __init__(self, job: Job, directory: Path) -> None:
        self._job = job
        self._directory = directory
        self._format = output_format(job.layout.format)

    def write(
        self, part: Part, rows: Rows, scored_positions: Any, predictions: list[pa.Table],
        refused: dict[int, RefusedRow],
    ) -> FinishedPart:  # fmt: skip
        """Write the files of a part; `scored_positions` within `rows` have the predictions.

        Raises:
            JobFailed: A file cannot be written, or no table can hold the columns.
        """
        table = self._output(rows.carried, predictions, scored_positions) if predictions else None
        try:
            data = self._write_data(part, table) if table is not None else None
            quarantine = self._write_quarantine(part, rows, refused) if refused else None
        except OSError as error:
            raise JobFailed(
                f"{self._directory}: cannot be written: {error.strerror}. {RESUME}"
            ) from error
        return FinishedPart(
            index=part.index, rows=rows.count, refused=len(refused),
            reasons=dict(sorted(Counter(one.kind for one in refused.values()).items())),
            columns=table.column_names if table is not None else [],
            data=data, quarantine=quarantine, seconds={},
            statistics=self._nulled(table) if table is not None else {},
        )  # fmt: skip

    def _nulled(self, table: pa.Table) -> dict[str, Any]:
        """Count the values per column that the format lacks, which become null in the file."""
        count = self._format.count_nulled
        if count is None:
            return {}
        counts = {name: count(table[name]) for name in table.column_names}
        return {"nulled": {name: found for name, found in counts.items() if found}}

    def _output(self, carried: pa.Table, predictions: list[pa.Table], positions: Any) -> pa.Table:
        predicted = concatenate(predictions)
        table = carried if len(positions) == carried.num_rows else carried.take(pa.array(positions))
        for name in predicted.column_names:
            if name in table.column_names:
                raise JobFailed(
                    f"The column {name!r} is in the input and in the predictions. Say what to keep "
                    "with --id-column, and leave it out."
                )
            table = (
                table.append_column(name, predicted.column(name))
                if table.num_columns
                else pa.table({name: predicted.column(name)})
            )
        if self._job.layout.stamped:
            for name, value in version_labels(self._job).items():
                table = table.append_column(
                    name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows)
                )
        return table.replace_schema_metadata(None).combine_chunks()

    def _write_data(self, part: Part, table: pa.Table) -> PartFile:
        place = self._directory / f"{part.index:06d}.{self._format.name}"
        whole = self._job.layout.directory
        if isinstance(self._format, TextOutput):
            header = self._format.serialize_header(table.column_names) if whole else b""
            return _write_file(place, header + self._format.serialize_rows(table))
        if whole:
            return _write_file(place, self._format.serialize(table, metadata(self._job)))
        return _write_file(place.with_suffix(".arrow"), arrow_file(table))

    def _write_quarantine(self, part: Part, rows: Rows, refused: dict[int, RefusedRow]) -> PartFile:
        offsets = sorted(refused)
        lines = [
            json.dumps(
                {"row": offset, "reason": str(refused[offset]), "input": original},
                ensure_ascii=False,
                default=str,
            )
            for offset, original in zip(offsets, rows.originals(offsets), strict=True)
        ]
        content = "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
        return _write_file(self._directory / f"{part.index:06d}.refused.jsonl", content)
