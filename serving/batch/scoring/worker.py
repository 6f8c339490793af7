"""Scores one part after another with one loaded version, and writes the files of each part.

Every engine runs workers where the rows are. A worker knows neither the other parts nor the engine.
"""

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cloche.drift import statistics
from cloche.serving.batch.input.csv_options import CsvOptions
from cloche.serving.batch.input.formats.catalog import input_formats
from cloche.serving.batch.input.readers.casting import scalar_types
from cloche.serving.batch.input.readers.reader import Reader, ReaderSettings
from cloche.serving.batch.input.readers.rows import Rows, StoredColumns
from cloche.serving.batch.job.part import FinishedPart, Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.output.formats.catalog import output_format
from cloche.serving.batch.output.merged_schema import concatenate
from cloche.serving.batch.output.part_writer import PartWriter, RefusedRow
from cloche.serving.batch.scoring.predict import PartScorer
from cloche.serving.batch.scoring.row_scorer import OnStep, RowScorer
from cloche.serving.errors import JobFailed
from cloche.serving.host.reference_profile import load_profile
from cloche.values import tensors

_FORMATS = input_formats()  # imported here, before workers are forked


class Worker:
    """Scores parts of one job into a directory.

    Attributes:
        row_scorer: Scores rows that were read.
        writer: Writes the files of a part.
    """

    def __init__(
        self,
        job: Job,
        directory: Path,
        scorer: PartScorer | None = None,
        on_step: OnStep = lambda *_: None,
    ) -> None:
        """Load the version, unless a scorer is given.

        Args:
            job: The job.
            directory: The directory for the files of parts.
            scorer: The loaded version; None to load it.
            on_step: Called as each step begins with its name ("reading", "predicting", "writing");
                with "predicting" also the range of rows.

        Raises:
            Exception: Whatever MLflow or the model's code raises while loading.
        """
        self._job = job
        self._on_step = on_step
        self._scorer = scorer or PartScorer.load(Path(job.model.path), job.model.twin)
        self._profile = load_profile(Path(job.model.path))
        schema = self._scorer.schema
        types = scalar_types(schema)
        self.row_scorer = RowScorer(job, self._scorer, types, on_step)
        self.writer = PartWriter(job, directory)
        names: list[str] | None = list(job.features) or None
        if schema is not None and names is not None:
            schema = tensors.without_name(schema)
        elif schema is not None and schema.has_input_names():
            names = [str(name) for name in schema.input_names()]
        settings = ReaderSettings(
            model_columns=names, carried=job.layout.carried, types=types, schema=schema,
            csv_options=CsvOptions(job.csv_options), coded=self._scorer.takes_columns,
            verbatim=output_format(job.layout.format).verbatim,
        )  # fmt: skip
        self._readers: dict[str, Reader] = {one.name: one.reader(settings) for one in _FORMATS}

    def finish(
        self,
        part: Part,
        excluded_rows: dict[int, str] | None = None,
        rows_per_call: int | None = None,
    ) -> FinishedPart:
        """Score a part and write its files.

        Args:
            part: The part.
            excluded_rows: Offset → reason of rows that are refused unscored: they kill workers.
            rows_per_call: The maximum number of rows per call of the model; None for all.

        Raises:
            JobFailed: The part cannot be read or written, or no row fits the model.
        """
        if not excluded_rows and rows_per_call is None and (finished := self._finish_columns(part)):
            return finished
        started = perf_counter()
        self._on_step("reading")
        rows = self.read(part)
        read = perf_counter()
        refused = {at: RefusedRow(reason) for at, reason in rows.refused.items()}
        refused |= {at: RefusedRow(reason) for at, reason in (excluded_rows or {}).items()}
        chosen = np.flatnonzero(~np.isin(rows.offsets, list(excluded_rows or ())))
        scored, predictions, failed = self.row_scorer.score(
            _at(rows.inputs, chosen), rows_per_call, rows.offsets[chosen],
            cut=part.within_file or len(rows.inputs) >= self._job.part_rows,
        )  # fmt: skip
        refused |= {int(rows.offsets[chosen[at]]): why for at, why in failed.items()}
        predicted = perf_counter()
        self._on_step("writing")
        finished = self.writer.write(part, rows, chosen[scored], predictions, refused)
        return replace(
            finished,
            seconds=_seconds(started, read, predicted),
            statistics=finished.statistics
            | self.count(_at(rows.inputs, chosen[scored]), predictions),
            by_twin=self.row_scorer.rows_by_twin,
        )  # fmt: skip

    def _finish_columns(self, part: Part) -> FinishedPart | None:
        """Score a part without a frame of all its rows; None if that is not possible.

        Raises:
            JobFailed: The part cannot be read or written.
        """
        if not self._scorer.takes_columns:
            return None
        started = perf_counter()
        self._on_step("reading")
        columns = self._readers[part.format].columns(part)
        if columns is None or not (count := columns.inputs.num_rows):
            return None
        read = perf_counter()
        self._on_step("predicting", (0, count))
        sample = statistics.sampled(count)
        try:
            predictions = self._scorer.predict_columns(columns)
            sampled = None if predictions is None else self._sampled(columns, sample)
        except JobFailed:
            raise
        except Exception:  # noqa: BLE001  # it comes again for the frame, whose rows are divided
            return None
        if predictions is None or sampled is None:
            return None
        predicted = perf_counter()
        self._on_step("writing")
        rows = Rows(sampled, columns.carried, np.arange(count), count, lambda _: [])
        finished = self.writer.write(part, rows, rows.offsets, [predictions], {})
        counted = statistics.count_sample(
            sampled, predictions.take(pa.array(sample)), self._profile
        )
        return replace(
            finished,
            seconds=_seconds(started, read, predicted),
            statistics=finished.statistics | counted,
            by_twin=self._scorer.by_twin,
        )  # fmt: skip

    def _sampled(self, columns: StoredColumns, chosen: Any) -> pd.DataFrame | None:
        """Return a frame of some rows, without columns if none is counted; None if it cannot be."""
        if not self._profile.get("columns"):
            return pd.DataFrame(index=range(len(chosen)))
        return columns.frame(chosen)

    def read(self, part: Part) -> Rows:
        """Return the typed rows of a part.

        Raises:
            JobFailed: The part cannot be read.
        """
        return self._readers[part.format].read(part)

    def try_rows(self, part: Part, start: int, stop: int, excluded_rows: dict[int, str]) -> None:
        """Score a range of offsets and keep nothing, to see whether the worker survives."""
        self._on_step("reading")
        rows = self.read(part)
        within = (rows.offsets >= start) & (rows.offsets < stop)
        chosen = np.flatnonzero(within & ~np.isin(rows.offsets, list(excluded_rows)))
        inputs = _at(rows.inputs, chosen).reset_index(drop=True)
        self.row_scorer.try_rows(inputs, rows.offsets[chosen])

    def count(self, inputs: pd.DataFrame, predictions: list[pa.Table]) -> dict[str, Any]:
        """Return the statistics of scored rows for the report."""
        if not predictions:
            return {}
        return statistics.count(inputs, concatenate(predictions), self._profile)


def _seconds(started: float, read: float, predicted: float) -> dict[str, float]:
    """Return how long a part took whose last file has just been written."""
    return {"all": perf_counter() - started, "read": read - started, "model": predicted - read}


def _at(rows: pd.DataFrame, positions: Any) -> pd.DataFrame:
    """Return some rows; all rows are returned uncopied, as a copy costs as much as reading."""
    return rows if len(positions) == len(rows) else rows.iloc[positions]
