"""Scores the rows of a part, and divides them where the model fails on some.

A model that fails on a part is asked about ever fewer rows, until those that it refuses are alone.
If its prediction of a row depends on the other rows of the call, dividing a part changes it, and so
does dividing a table into parts: the job then ends.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.exceptions import MlflowException
from mlflow.models.utils import _enforce_schema

from cloche.serving.batch.input.bisection import bisect_failures
from cloche.serving.batch.input.readers.casting import Types, type_advice
from cloche.serving.batch.input.readers.rows import UNFIT
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.output.merged_schema import concatenate
from cloche.serving.batch.output.part_writer import RefusedRow
from cloche.serving.batch.scoring.predict import PartScorer, differing_columns
from cloche.serving.errors import JobFailed
from cloche.serving.host.answers.error_answers import InvalidCell
from cloche.serving.host.answers.error_origin import raised_by_model
from cloche.values.redaction import describe_error, raised_in, root_error

_FEWER = (64, 16, 4, 2)  # rows per call of a comparison, if the model fails on all rows at once
_PROBED = 64  # rows that are tried alone before thousands are tried
_COMPARED = 16  # rows of a part that are asked again without the others
_DETAIL_CHARACTERS = 300
OnStep = Callable[..., object]


class RowScorer:
    """Scores rows with a loaded version.

    Attributes:
        rows_by_twin: The number of rows that the twin scored in the last call of `score`.
    """

    def __init__(self, job: Job, scorer: PartScorer, types: Types, on_step: OnStep) -> None:
        """Store the settings.

        Args:
            job: The job.
            scorer: The loaded version.
            types: The column types of the signature.
            on_step: Called with "predicting" and the range of rows before each call of the model.
        """
        self._job = job
        self._scorer = scorer
        self._types = types
        self._on_step = on_step
        self.rows_by_twin = 0
        self._compared = False

    def try_rows(self, inputs: pd.DataFrame, offsets: Any) -> None:
        """Score rows and keep nothing, to see whether the process survives."""
        self._divide(inputs, offsets)

    def score(
        self,
        inputs: pd.DataFrame,
        rows_per_call: int | None = None,
        offsets: Any = None,
        *,
        cut: bool = False,
    ) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", list[pa.Table], dict[int, RefusedRow]]:
        """Return the positions of scored rows, their predictions, and position → reason of others.

        Args:
            inputs: (n rows) The model's inputs.
            rows_per_call: The maximum number of rows per call of the model; None for all.
            offsets: (n) The row numbers within the part; 0 to n - 1 by default.
            cut: Whether the rows are only a part of their table.

        Raises:
            JobFailed: No row fits the model; or the rows had to be divided, or are only a part of
                their table, and the model's prediction of a row depends on the other rows.
        """
        self.rows_by_twin = 0
        count = len(inputs)
        offsets = np.arange(count) if offsets is None else offsets
        step = rows_per_call or max(count, 1)
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
        elif cut and len(positions) > 1 and not self._compared:
            self._compared = True
            self._refuse_cut(inputs, predictions[0], _range(offsets))
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
            found = self._differing(inputs, before, chosen, size, span)
            if found is None:
                continue
            if found:
                raise JobFailed(
                    f"{self._job.model} answers {min(found)!r} of a row by the rows beside it, and "
                    "it failed on a part as a whole: scored in pieces, its rows would get other "
                    "predictions. Leave out the rows that it refuses, or give it files "
                    "that it takes as a whole."
                )
            return

    def _refuse_cut(self, inputs: pd.DataFrame, before: pa.Table, span: tuple[int, int]) -> None:
        """Stop the job if some rows of a part get other predictions without the other rows.

        Raises:
            JobFailed: The predictions of a row depend on the other rows of the call.
        """
        gaps = np.flatnonzero(inputs.isna().any(axis=1))[: _COMPARED // 2]
        spread = np.linspace(0, len(inputs) - 1, _COMPARED - len(gaps)).astype(int)
        chosen = np.unique(np.concatenate([gaps, spread]))
        chosen = chosen[: len(inputs) - 1]  # without all rows nothing would be left out
        if found := self._differing(inputs, before, chosen, len(chosen), span):
            raise JobFailed(
                f"{self._job.model} answers {min(found)!r} of a row by the rows beside it, and the "
                f"table has more rows than one part: scored in parts of {self._job.part_rows:,}, "
                "its rows would get other predictions than in one call. Have the table scored at "
                "once by --part-rows, as a file of one row group if it is Parquet or Arrow."
            )

    def _differing(
        self, inputs: pd.DataFrame, before: pa.Table, chosen: Any, size: int, span: tuple[int, int]
    ) -> set[str] | None:
        """Return the columns whose predictions differ when some rows are asked again.

        Columns that differ between equal calls, like random ones, are left out. None if the model
        raises an error.
        """
        try:
            again = self._ask_again(inputs, chosen, size, span)
            found = differing_columns(before.take(pa.array(chosen)), again)
            if found:
                found -= differing_columns(again, self._ask_again(inputs, chosen, size, span))
        except JobFailed:
            raise
        except Exception:  # noqa: BLE001  # a model may raise anything
            return None
        return found

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

        done, failed = bisect_failures(attempt, len(inputs), reason)
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


def _range(offsets: Any) -> tuple[int, int]:
    """Return the range of some offsets: the first, and the one after the last."""
    return int(offsets[0]), int(offsets[-1]) + 1


def _refusal(error: Exception) -> RefusedRow:
    if isinstance(error, InvalidCell):
        return RefusedRow(error.reason)
    inner = root_error(error)
    text = getattr(inner, "message", None) or str(inner)
    raised_by = raised_in(error)
    kind = (
        f"the row as it reaches the {raised_by} does not fit its signature" if raised_by else UNFIT
    )
    if raised_by_model(error):
        kind = f"the {raised_by or 'model'} failed with {type(error).__name__}"
    return RefusedRow(kind, " ".join(text.split())[:_DETAIL_CHARACTERS])
