"""Scores one part after another with one loaded version, and writes the files of each part.

Every engine runs workers where the rows are. A worker knows neither the other parts nor the engine.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.exceptions import MlflowException
from mlflow.models.utils import _enforce_schema

from cloche.serving.batch.input.bisection import divide
from cloche.serving.batch.input.csv_options import CsvOptions
from cloche.serving.batch.input.readers.casting import scalar_types, type_advice
from cloche.serving.batch.input.readers.columnar import ColumnarReader
from cloche.serving.batch.input.readers.csv import CsvReader
from cloche.serving.batch.input.readers.jsonlines import JsonLinesReader
from cloche.serving.batch.input.readers.rows import UNFIT, Columns, Rows
from cloche.serving.batch.job.part import FinishedPart, Part, PartFile
from cloche.serving.batch.job.pinned_job import TEXT, Job, metadata, version_labels
from cloche.serving.batch.output.merged_schema import concatenate
from cloche.serving.batch.report import statistics
from cloche.serving.batch.scoring.predict import PartScorer, differing_columns
from cloche.serving.batch.storage import atomic_write, format_writers
from cloche.serving.errors import RESUME, JobFailed
from cloche.serving.host.answers.error_answers import InvalidCell
from cloche.serving.host.answers.error_origin import raised_by_model
from cloche.serving.host.reference_profile import load_profile
from cloche.values import tensors
from cloche.values.redaction import describe_error, root_error

_FEWER = (64, 16, 4, 2)  # rows per call when 64 rows are scored again because all are too many
_PROBED = 64  # rows that are tried alone before thousands are tried
_DETAIL_CHARACTERS = 300
OnStep = Callable[..., object]
_write_file = partial(atomic_write.write, contested=True)  # abandoned Spark tasks may still run


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """The reason why a row is in quarantine: the report counts the kind and omits the detail."""

    kind: str
    detail: str = ""

    def __str__(self) -> str:
        """The reason as written to the quarantine."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class Worker:
    """Scores parts of one job into a directory.

    Attributes:
        rows_by_twin: The number of rows that the twin scored in the last call of `score`.
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
        self._directory = directory
        self._on_step = on_step
        self.rows_by_twin = 0
        self._scorer = scorer or PartScorer.load(Path(job.model.path), job.model.twin)
        self._profile = load_profile(Path(job.model.path))
        schema = self._scorer.schema
        self._types = scalar_types(schema)
        inputs: list[str] | None = list(job.features) or None
        if schema is not None and inputs is not None:
            schema = tensors.without_name(schema)
        elif schema is not None and schema.has_input_names():
            inputs = [str(name) for name in schema.input_names()]
        carried = job.layout.carried
        verbatim = job.layout.format == "csv"
        text = CsvReader(inputs, carried, self._types, CsvOptions(job.reading), verbatim=verbatim)
        columnar = ColumnarReader(
            inputs, carried, self._types, stored=schema is None, coded=self._scorer.takes_columns
        )
        lines = JsonLinesReader(inputs, carried, self._types, schema)
        self._readers: dict[str, Any] = {
            "csv": text, "jsonl": lines, "parquet": columnar, "arrow": columnar,
        }  # fmt: skip

    def finish(
        self, part: Part, without: dict[int, str] | None = None, at_once: int | None = None
    ) -> FinishedPart:
        """Score a part and write its files.

        Args:
            part: The part.
            without: Offset → reason of rows to refuse without scoring, because they kill workers.
            at_once: The maximum number of rows per call of the model; None for all.

        Raises:
            JobFailed: The part cannot be read or written, or no row fits the model.
        """
        if not without and at_once is None and (finished := self._finish_columns(part)):
            return finished
        started = perf_counter()
        self._on_step("reading")
        rows = self.read(part)
        read = perf_counter()
        refused = {at: RefusedRow(reason) for at, reason in rows.refused.items()}
        refused |= {at: RefusedRow(reason) for at, reason in (without or {}).items()}
        chosen = np.flatnonzero(~np.isin(rows.offsets, list(without or ())))
        scored, predictions, failed = self.score(
            _at(rows.inputs, chosen), at_once, rows.offsets[chosen]
        )
        refused |= {int(rows.offsets[chosen[at]]): why for at, why in failed.items()}
        predicted = perf_counter()
        self._on_step("writing")
        finished = self.write_part(part, rows, chosen[scored], predictions, refused)
        return replace(
            finished,
            seconds={
                "all": perf_counter() - started, "read": read - started, "model": predicted - read,
            },
            statistics=finished.statistics
            | self.count(_at(rows.inputs, chosen[scored]), predictions),
            by_twin=self.rows_by_twin,
        )  # fmt: skip

    def _finish_columns(self, part: Part) -> FinishedPart | None:
        """Score a part without a frame of all its rows; None if that is not possible.

        Raises:
            JobFailed: The part cannot be read or written.
        """
        columns_of = getattr(self._readers[part.format], "columns", None)
        if columns_of is None or not self._scorer.takes_columns:
            return None
        started = perf_counter()
        self._on_step("reading")
        columns: Columns | None = columns_of(part)
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
        finished = self.write_part(part, rows, rows.offsets, [predictions], {})
        counted = statistics.count_sample(
            sampled, predictions.take(pa.array(sample)), self._profile
        )
        return replace(
            finished,
            seconds={
                "all": perf_counter() - started, "read": read - started, "model": predicted - read,
            },
            statistics=finished.statistics | counted,
            by_twin=self._scorer.by_twin,
        )  # fmt: skip

    def _sampled(self, columns: Columns, chosen: Any) -> pd.DataFrame | None:
        """Return a frame of some rows, without columns if none is counted; None if it cannot be."""
        if not self._profile.get("columns"):
            return pd.DataFrame(index=range(len(chosen)))
        return columns.frame(chosen)

    def read(self, part: Part) -> Rows:
        """Return the typed rows of a part.

        Raises:
            JobFailed: The part cannot be read.
        """
        rows: Rows = self._readers[part.format].read(part)
        return rows

    def write_part(
        self, part: Part, rows: Rows, scored: Any, predictions: list[pa.Table],
        refused: dict[int, RefusedRow],
    ) -> FinishedPart:  # fmt: skip
        """Write the files of a part.

        Raises:
            JobFailed: A file cannot be written, or no table can hold the columns.
        """
        table = self._output(rows.carried, predictions, scored) if predictions else None
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

    def try_rows(self, part: Part, start: int, stop: int, without: dict[int, str]) -> None:
        """Score a range of offsets and keep nothing, to see whether the worker survives."""
        self._on_step("reading")
        rows = self.read(part)
        within = (rows.offsets >= start) & (rows.offsets < stop)
        chosen = np.flatnonzero(within & ~np.isin(rows.offsets, list(without)))
        self._divide(_at(rows.inputs, chosen).reset_index(drop=True), rows.offsets[chosen])

    def score(
        self, inputs: pd.DataFrame, at_once: int | None = None, offsets: Any = None
    ) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", list[pa.Table], dict[int, RefusedRow]]:
        """Return the positions of scored rows, their predictions, and position → reason of others.

        Args:
            inputs: (n rows) The model's inputs.
            at_once: The maximum number of rows per call of the model; None for all.
            offsets: (n) The row numbers within the part; 0 to n - 1 by default.

        Raises:
            JobFailed: No row fits the model; or the rows had to be divided, and the model's
                prediction of a row depends on the other rows.
        """
        self.rows_by_twin = 0
        count = len(inputs)
        offsets = np.arange(count) if offsets is None else offsets
        step = at_once or max(count, 1)
        failed: dict[int, RefusedRow] = {}
        scored: list[Any] = []
        predictions: list[pa.Table] = []
        for first in range(0, count, step):
            piece = inputs.iloc[first : first + step].reset_index(drop=True)
            done, bad = self._divide(piece, offsets[first : first + step])
            failed |= {first + at: reason for at, reason in bad.items()}
            scored += [np.arange(first + a, first + b) for a, b, _ in done]
            predictions += [table for _, _, table in done]
        positions = np.concatenate(scored) if scored else np.empty(0, np.int64)
        if len(positions) and (len(positions) < count or len(scored) > 1):
            self._refuse_dependent(
                inputs.iloc[positions], predictions, step, _range(offsets[positions])
            )
        return positions, predictions, failed

    def _refuse_dependent(
        self, inputs: pd.DataFrame, predictions: list[pa.Table], most: int, span: tuple[int, int]
    ) -> None:
        """Stop the job if dividing a part changed the predictions of its rows.

        Raises:
            JobFailed: The predictions of a row depend on the other rows of the call.
        """
        count = len(inputs)
        before = concatenate(predictions)
        # scored again in one call, a single table would only be reproduced
        first = count if len(predictions) > 1 else count // 2
        for size in (first, *_FEWER):
            if not 1 <= size <= min(count, max(most, 2)):
                continue
            asked = count if size == first else min(count, _FEWER[0])
            chosen = np.linspace(0, count - 1, asked).astype(int)
            if size < len(chosen):  # give rows other neighbours than before
                chosen = np.concatenate([chosen[::2], chosen[1::2]])
            try:
                again = self._ask_again(inputs, chosen, size, span)
                found = differing_columns(before.take(pa.array(chosen)), again)
                if found:  # ignore columns that differ between equal calls, like random ones
                    found -= differing_columns(again, self._ask_again(inputs, chosen, size, span))
            except JobFailed:
                raise
            except Exception:  # noqa: BLE001, S112  # a model may raise anything; try fewer rows
                continue
            if found:
                raise JobFailed(
                    f"{self._job.model} answers {min(found)!r} of a row by the rows beside it, and "
                    "it failed on a part as a whole: scored in pieces, its rows would get other "
                    "predictions. Leave out the rows that it refuses, or give it fewer by "
                    "--part-rows."
                )
            return

    def _ask_again(
        self, inputs: pd.DataFrame, chosen: Any, size: int, span: tuple[int, int]
    ) -> pa.Table:
        """Return the predictions for some rows, with `size` rows per call."""
        found = []
        for at in range(0, len(chosen), size):
            self._on_step("predicting", span)
            piece = inputs.iloc[chosen[at : at + size]].reset_index(drop=True)
            found.append(self._scorer.predict(piece))
        return concatenate(found)

    def _divide(
        self, inputs: pd.DataFrame, offsets: Any
    ) -> tuple[list[tuple[int, int, pa.Table]], dict[int, RefusedRow]]:
        reasons: dict[str, RefusedRow] = {}
        probed = False

        def attempt(start: int, stop: int) -> pa.Table:
            self._on_step("predicting", _range(offsets[start:stop]))
            predictions = self._scorer.predict(inputs.iloc[start:stop].reset_index(drop=True))
            self.rows_by_twin += self._scorer.by_twin
            return predictions

        def reason(error: Exception) -> str:
            nonlocal probed
            if isinstance(error, JobFailed):  # not caused by a row
                raise error
            if not probed and not isinstance(error, MemoryError):
                probed = True
                self._refuse_hopeless(inputs, offsets)
            refusal = _refusal(error)
            reasons[str(refusal)] = refusal
            return str(refusal)

        done, failed = divide(attempt, len(inputs), reason)
        return done, {at: reasons[text] for at, text in failed.items()}

    def _refuse_hopeless(self, inputs: pd.DataFrame, offsets: Any) -> None:
        """Stop the job if the whole table, and not single rows, does not fit the model.

        Raises:
            JobFailed: The columns do not fit the signature, or a sample of single rows failed.
        """
        schema = self._scorer.schema
        if schema is not None:
            try:
                _enforce_schema(self._scorer.model_input(inputs.iloc[:0]), schema)
            except MlflowException as unfit:
                why = type_advice(inputs, self._types) or str(unfit.message)
                raise JobFailed(f"The input does not fit {self._job.model}: {why}") from unfit
        if self._job.has_refusal_limit or len(inputs) < _PROBED**2:
            return
        text = ""
        for at in np.linspace(0, len(inputs) - 1, _PROBED).astype(int).tolist():
            self._on_step("predicting", _range(offsets[at : at + 1]))
            try:
                self._scorer.predict(inputs.iloc[at : at + 1].reset_index(drop=True))
            except Exception as failure:  # noqa: BLE001  # a model may raise anything
                row = inputs.iloc[at : at + 1]
                text = f"the model failed with {describe_error(failure, row)}"
            else:
                return
        raise JobFailed(
            f"{self._job.model} refused {_PROBED} rows out of {_PROBED}; one of them: {text}. If "
            "they belong into quarantine, say so with --max-bad-rows 100%."
        )

    def count(self, inputs: pd.DataFrame, predictions: list[pa.Table]) -> dict[str, Any]:
        """Return the statistics of scored rows for the report."""
        if not predictions:
            return {}
        return statistics.count(inputs, concatenate(predictions), self._profile)

    def _nulled(self, table: pa.Table) -> dict[str, Any]:
        """Count the values per column that JSON lacks, which become null in the file."""
        if self._job.layout.format != "jsonl":
            return {}
        counts = {name: format_writers.without_json(table[name]) for name in table.column_names}
        return {"nulled": {name: count for name, count in counts.items() if count}}

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


def _range(offsets: Any) -> tuple[int, int]:
    """Return the range of some offsets: the first, and the one after the last."""
    return int(offsets[0]), int(offsets[-1]) + 1


def _at(rows: pd.DataFrame, positions: Any) -> pd.DataFrame:
    """Return some rows; all rows are returned uncopied, as a copy costs as much as reading."""
    return rows if len(positions) == len(rows) else rows.iloc[positions]


def _refusal(error: Exception) -> RefusedRow:
    if isinstance(error, InvalidCell):
        return RefusedRow(error.reason)
    inner = root_error(error)
    text = getattr(inner, "message", None) or str(inner)
    kind = f"the model failed with {type(error).__name__}" if raised_by_model(error) else UNFIT
    return RefusedRow(kind, " ".join(text.split())[:_DETAIL_CHARACTERS])
