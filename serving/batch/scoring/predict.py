"""Predicts with a loaded version: a DataFrame becomes named columns of equal length."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel
from mlflow.types import Schema

from cloche.processes import supervisor
from cloche.serving.batch.input.readers import casting
from cloche.serving.batch.input.readers.rows import StoredColumns
from cloche.serving.batch.output import answer_encoding
from cloche.serving.batch.scoring.batch_twin import BatchTwin
from cloche.serving.errors import JobFailed
from cloche.serving.host import frameworks
from cloche.serving.host.answers.error_answers import InvalidCell, RequestRefused
from cloche.serving.host.parsing.missing_values import lossy_arrays, refuse_gaps
from cloche.serving.host.predictors.closeness import isclose
from cloche.serving.host.predictors.twin import TwinPrediction, TwinUnusable
from cloche.values import tensors
from cloche.values.redaction import describe_error, raised_in, trace

_logger = logging.getLogger(__name__)
_OUT_OF_MEMORY = ("allocate", "bad_alloc")  # words in onnxruntime's error messages


class ModelNeeded(JobFailed):
    """A row is the model's, and this process has the twin alone. No row is to blame."""


class PartScorer:
    """A loaded version that scores frames.

    The twin, if the job uses it, scores the rows that it is sure of. The model scores all others by
    MLflow's own `predict`, including the enforcement of the signature.

    Attributes:
        by_twin: The number of rows that the twin scored in the last call of `predict` or
            `predict_columns`.
        proven: Whether this process has compared the twin with the model.
    """

    def __init__(self, model: PyFuncModel, twin: BatchTwin | None = None) -> None:
        self._model = model
        self._twin = twin
        outputs: Schema | None = model.metadata.get_output_schema()
        self._names: list[str] = []
        if outputs is not None and outputs.has_input_names():
            self._names = [str(name) for name in outputs.input_names()]
        self._lossy = lossy_arrays(model.metadata.get_input_schema())
        self.by_twin = 0
        self.proven = False

    @classmethod
    def load(cls, path: Path, twin: str = "") -> "PartScorer":
        """Load a version, and the twin with the digest `twin` unless that is empty.

        Raises:
            JobFailed: The twin cannot be used here.
            Exception: Whatever MLflow or the model's code raises while loading.
        """
        logging.getLogger("mlflow.models.utils").setLevel(logging.ERROR)  # extra columns are fine
        model = frameworks.load(path)
        if not twin:
            return cls(model)
        scorer = cls(model, _twin(path, twin))
        scorer.prove(model.metadata.load_input_example(str(path)))
        return scorer

    @classmethod
    def twin_alone(cls, path: Path, twin: str) -> "PartScorer":
        """Load the twin of a version without its model, after an earlier job has proven it here.

        `predict` and `predict_columns` raise `ModelNeeded` if the twin leaves a row to the model.

        Raises:
            JobFailed: The twin cannot be used here.
        """
        absent = _AbsentModel(Model.load(str(path)))
        return cls(cast("PyFuncModel", absent), _twin(path, twin))

    def watch_stages(self, on_version: Callable[[str], object]) -> None:
        """Have a function called before each version of a chain scores; see `Chain.on_version`."""
        self._model.get_raw_model().on_version = on_version

    @property
    def takes_columns(self) -> bool:
        """Whether `predict_columns` may score rows as they are stored."""
        return self._twin is not None and self._twin.takes_tables

    @property
    def schema(self) -> Schema | None:
        """The input schema of the version; None without a signature."""
        schema: Schema | None = self._model.metadata.get_input_schema()
        return schema

    def model_input(self, frame: pd.DataFrame) -> tensors.ModelInput:
        """Convert a frame to the argument of the model's `predict`."""
        schema = self.schema
        if schema is None or not schema.is_tensor_spec():
            return frame
        return tensors.model_input(frame, schema)

    def predict(self, frame: pd.DataFrame) -> pa.Table:
        """Return the prediction columns for a frame of n > 0 rows.

        Raises:
            JobFailed: The model returned not n predictions, values that no file can hold, or other
                columns than the twin.
            Exception: Whatever MLflow or the model raises.
        """
        self.by_twin = 0
        found = self._by_twin(frame)
        if found is None:
            return self._by_model(frame)
        return self._completed(*found, lambda at: frame.iloc[at].reset_index(drop=True))

    def predict_columns(self, columns: StoredColumns) -> pa.Table | None:
        """Return the prediction columns for n > 0 rows as they are stored, as `predict` does.

        None if the rows must become a frame first.

        Raises:
            JobFailed: The model returned other columns than the twin.
            Exception: Whatever onnxruntime, MLflow or the model raises.
        """
        self.by_twin = 0
        pred = self._twin.predict_table(columns.inputs) if self._twin is not None else None
        if pred is None:
            return None
        rest = columns.frame(np.flatnonzero(~pred.sure)) if not pred.sure.all() else None
        if rest is None and not pred.sure.all():
            return None
        return self._completed(
            self._named(pred, columns.inputs.num_rows), pred.sure, lambda _: rest
        )

    def _completed(
        self, table: pa.Table, sure: "np.ndarray[Any, Any]", frame: Callable[[Any], Any]
    ) -> pa.Table:
        """Return the twin's predictions with those of the model for the rows that are not sure."""
        if not sure.all():
            others = np.flatnonzero(~sure)
            asked = self._by_model(frame(others))
            table = _merged(table, asked, np.flatnonzero(sure), others)
        self.by_twin = int(sure.sum())
        return table

    def _named(self, pred: TwinPrediction, rows: int) -> pa.Table:
        if pred.names is None:
            return answer_encoding.table(pred.columns[0], rows, self._names)
        columns = dict(zip(pred.names, pred.columns, strict=True))
        return answer_encoding.table(columns, rows, self._names)

    def prove(self, example: Any) -> None:
        """Compare twin and model on the version's input example, if it has one.

        Raises:
            JobFailed: The predictions differ: the twin was proven elsewhere, and the proof does not
                hold on this machine.
        """
        if self._twin is None or not isinstance(example, pd.DataFrame):
            return
        types = casting.scalar_types(self.schema)
        frame, _ = casting.cast(example.reset_index(drop=True), types)
        found = self._by_twin(frame)
        if found is None:
            return
        (own, sure), other = found, self._by_model(frame)
        kept = pa.array(sure)
        if differing_columns(own.filter(kept), other.filter(kept), 1e-6, self._twin.tolerance):
            raise _without_twin("It and the model differ on the input example.")
        self.proven = bool(sure.any())

    def _by_model(self, frame: pd.DataFrame) -> pa.Table:
        refuse_gaps(frame, self._lossy)
        try:
            answer = self._model.predict(self.model_input(frame))
        except RequestRefused as refused:
            if isinstance(refused, InvalidCell):
                raise
            raise JobFailed(f"The {raised_in(refused)} cannot be used: {refused}") from refused
        finally:
            supervisor.end_stray_fork()
        return answer_encoding.table(answer, len(frame), self._names)

    def _by_twin(self, frame: pd.DataFrame) -> "tuple[pa.Table, np.ndarray[Any, Any]] | None":
        """Return the twin's predictions and a mask of sure rows; None if it cannot score."""
        if self._twin is None:
            return None
        try:
            pred = self._twin.predict(frame)
        except Exception as error:
            if any(word in str(error) for word in _OUT_OF_MEMORY):
                raise MemoryError from error  # the caller then retries with fewer rows
            seen = trace(error, frame)
            _logger.error("The twin failed; the model answers in its place.\n%s", seen)  # noqa: TRY400
            return None
        return None if pred is None else (self._named(pred, len(frame)), pred.sure)


class _AbsentModel(NamedTuple):
    """A model of which only the metadata is loaded."""

    metadata: Model

    def predict(self, _: tensors.ModelInput) -> NoReturn:
        raise ModelNeeded("The model is not loaded.")


def _twin(path: Path, digest: str) -> BatchTwin:
    """Load the twin that the job began with.

    Raises:
        JobFailed: The twin cannot be used here.
    """
    try:
        twin = BatchTwin.load(path, digest)
    except TwinUnusable as refusal:
        raise _without_twin(str(refusal)) from refusal
    if twin is None:
        raise _without_twin("It is gone.")
    return twin


def _without_twin(reason: str) -> JobFailed:
    return JobFailed(
        f"The accelerated twin that the job began with cannot be used: {reason} Begin anew with "
        "--overwrite --no-acceleration."
    )


def _merged(
    sure: pa.Table, asked: pa.Table, at_sure: "np.ndarray", at_asked: "np.ndarray"
) -> pa.Table:
    """Merge the rows of both tables in their order, with the twin's types as in other parts."""
    try:
        both = pa.concat_tables([sure.take(pa.array(at_sure)), asked.cast(sure.schema)])
    except (pa.ArrowInvalid, ValueError) as error:
        reason = f"The model answers in other columns than it: {describe_error(error)}."
        raise _without_twin(reason) from error
    places = np.empty(len(at_sure) + len(at_asked), np.int64)
    places[np.concatenate([at_sure, at_asked])] = np.arange(len(places))
    return both.take(pa.array(places)).combine_chunks()


def differing_columns(
    one: pa.Table, other: pa.Table, relative: float = 1e-4, absolute: float = 1e-6
) -> set[str]:
    """Return the columns in which two tables of predictions differ by more than rounding."""
    if one.column_names != other.column_names:
        return set(one.column_names) ^ set(other.column_names) or set(one.column_names)
    return {
        name
        for name, mine, theirs in zip(one.column_names, one.columns, other.columns, strict=True)
        if not _alike(mine, theirs, relative, absolute)
    }


def _alike(one: pa.ChunkedArray, other: pa.ChunkedArray, relative: float, absolute: float) -> bool:
    if pa.types.is_floating(one.type) and pa.types.is_floating(other.type):
        mine, theirs = (each.cast(pa.float64()).to_numpy() for each in (one, other))
        return np.allclose(mine, theirs, rtol=relative, atol=absolute, equal_nan=True)
    if one.equals(other):
        return True
    pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
    return all(isclose(*pair, relative=relative, tolerance=absolute) for pair in pairs)
