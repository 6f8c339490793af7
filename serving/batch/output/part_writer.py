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
from cloche.serving.batch.job.pinned_job import TEXT, Job, metadata, version_labels
from cloche.serving.batch.output.merged_schema import concatenate
from cloche.serving.batch.storage import atomic_write, format_writers
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

    def write(
        self, part: Part, rows: Rows, scored_offsets: Any, predictions: list[pa.Table],
        refused: dict[int, RefusedRow],
    ) -> FinishedPart:  # fmt: skip
        """Write the files of a part.

        Raises:
            JobFailed: A file cannot be written, or no table can hold the columns.
        """
        table = self._output(rows.carried, predictions, scored_offsets) if predictions else None
        try:
            data = self._write_data(part, table) if table is not None else None
            quarantine = self._write_quarantine(part, rows, refused) if refused else None
        except OSError as error:
            raise JobFailed(
                f"{self._directory}: cannot be written: {error.strerror}. {RESUME}"
            ) from error
        return FinishedPart(
            part.index, rows.count, len(refused),
            dict(sorted(Counter(one.kind for one in refused.values()).items())),
            table.column_names if table is not None else [], data, quarantine, {},
            self._nulled(table) if table is not None else {},
        )  # fmt: skip

    def _nulled(self, table: pa.Table) -> dict[str, Any]:
        """Count the values per column that JSON lacks, which become null in the file."""
        if self._job.layout.format != "jsonl":
            return {}
        counts = {
            name: format_writers.count_without_json(table[name]) for name in table.column_names
        }
        return {"nulled": {name: found for name, found in counts.items() if found}}

    def _output(self, carried: pa.Table, predictions: list[pa.Table], scored: Any) -> pa.Table:
        predicted = concatenate(predictions)
        table = carried if len(scored) == carried.num_rows else carried.take(pa.array(scored))
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
        layout = self._job.layout
        name = self._directory / f"{part.index:06d}"
        if layout.format in TEXT:
            text = (
                format_writers.csv(table) if layout.format == "csv" else format_writers.jsonl(table)
            )
            if layout.directory and layout.format == "csv":
                text = format_writers.csv_header(table.column_names) + text
            return _write_file(name.with_suffix(f".{layout.format}"), text)
        if layout.directory:
            return _write_file(
                name.with_suffix(".parquet"), format_writers.parquet(table, metadata(self._job))
            )
        return _write_file(name.with_suffix(".arrow"), format_writers.arrow(table))

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
