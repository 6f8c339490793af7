"""What a loaded version predicts for a frame, as named columns of equal length."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.pyfunc import PyFuncModel
from mlflow.types import Schema

from cloche.redaction import told, trace
from cloche.serving.batch import tensors
from cloche.serving.batch.acceleration import Accelerator
from cloche.serving.batch.readers.casting import cast, scalar_types
from cloche.serving.errors import JobFailed
from cloche.serving.host import frameworks
from cloche.serving.host.missing import refuse_lossy_arrays
from cloche.serving.host.twin import TwinRefused

_logger = logging.getLogger(__name__)
_OUT_OF_MEMORY = ("allocate", "bad_alloc")  # in what onnxruntime says


class WrongShape(Exception):
    """The model's answer does not have one entry for each row."""


class Scorer:
    """One loaded version.

    Its twin, if it is used, answers the rows that it is sure of. All others are the model's:
    MLflow's own `predict`, enforcement of the signature included.

    Attributes:
        by_twin: How many rows of the last `predict` the twin answered.
    """

    def __init__(self, model: PyFuncModel, twin: Accelerator | None = None) -> None:
        self._model = model
        self._twin = twin
        outputs: Schema | None = model.metadata.get_output_schema()
        self._names: list[str] = []
        if outputs is not None and outputs.has_input_names():
            self._names = [str(name) for name in outputs.input_names()]
        self.by_twin = 0

    @classmethod
    def load(cls, path: Path, twin: str = "") -> "Scorer":
        """Load the version whose artifacts lie at `path`.

        Args:
            path: The version's artifacts.
            twin: The digest of the twin that the job uses; empty for none.

        Raises:
            JobFailed: The twin cannot be used here.
            Exception: Whatever MLflow or the model's code raises while loading.
        """
        logging.getLogger("mlflow.models.utils").setLevel(logging.ERROR)  # warns of extra columns
        model = frameworks.load(path)
        if not twin:
            return cls(model)
        try:
            accelerator = Accelerator.load(path, twin)
        except TwinRefused as refusal:
            raise _without_twin(str(refusal)) from refusal
        if accelerator is None:
            raise _without_twin("It is gone.")
        scorer = cls(model, accelerator)
        scorer.prove(model.metadata.load_input_example(str(path)))
        return scorer

    @property
    def schema(self) -> Schema | None:
        """What the version takes."""
        schema: Schema | None = self._model.metadata.get_input_schema()
        return schema

    def predict(self, frame: pd.DataFrame) -> pa.Table:
        """The prediction columns for (n rows) of a frame, n > 0.

        Raises:
            WrongShape: The answer has not n entries.
            JobFailed: The model answers in other columns than its twin.
            Exception: Whatever MLflow or the model raises.
        """
        self.by_twin = 0
        found = self._by_twin(frame)
        if found is None:
            return self._by_model(frame)
        table, sure = found
        if not sure.all():
            others = np.flatnonzero(~sure)
            asked = self._by_model(frame.iloc[others].reset_index(drop=True))
            table = _merged(table, asked, np.flatnonzero(sure), others)
        self.by_twin = int(sure.sum())
        return table

    def prove(self, example: Any) -> None:
        """Have twin and model answer the version's input example, if it has one.

        Raises:
            JobFailed: They differ: the proof was made elsewhere, and does not hold on this machine.
        """
        if self._twin is None or not isinstance(example, pd.DataFrame):
            return
        frame, _ = cast(example.reset_index(drop=True), scalar_types(self.schema))
        found = self._by_twin(frame)
        if found is None:
            return
        (own, sure), other = found, self._by_model(frame)
        kept = pa.array(sure)
        if not _alike(own.filter(kept), other.filter(kept), self._twin.tolerance):
            raise _without_twin("It and the model differ on the input example.")

    def _by_model(self, frame: pd.DataFrame) -> pa.Table:
        schema = self.schema
        if schema is not None and schema.is_tensor_spec():
            frame = tensors.cast(frame, schema)
        refuse_lossy_arrays(frame, schema)
        return self._table(self._model.predict(frame), len(frame))

    def _by_twin(self, frame: pd.DataFrame) -> "tuple[pa.Table, np.ndarray[Any, Any]] | None":
        """Its answer, and of which rows it is sure; None where only the model can answer."""
        if self._twin is None:
            return None
        try:
            said = self._twin.predict(frame)
        except Exception as error:
            if any(word in str(error) for word in _OUT_OF_MEMORY):
                raise MemoryError from error  # fewer rows are tried then, and not the model
            seen = trace(error, frame)
            _logger.error("The twin failed; the model answers in its place.\n%s", seen)  # noqa: TRY400
            return None
        if said is None:
            return None
        if said.names is None:
            return self._table(said.columns[0], len(frame)), said.sure
        columns = dict(zip(said.names, said.columns, strict=True))
        return self._table(columns, len(frame)), said.sure

    def _table(self, raw: Any, rows: int) -> pa.Table:
        columns = named(raw, self._names)
        if any(len(column) != rows for column in columns.values()):
            raise WrongShape(f"The model answered {rows} rows with another number of rows.")
        return pa.table({name: _array(column) for name, column in columns.items()})


def _without_twin(reason: str) -> JobFailed:
    return JobFailed(
        f"The accelerated twin that the job began with cannot be used: {reason} Begin anew with "
        "--overwrite --no-acceleration."
    )


def _merged(
    sure: pa.Table, asked: pa.Table, at_sure: "np.ndarray", at_asked: "np.ndarray"
) -> pa.Table:
    """The rows of both in their places; the twin's types hold for all parts."""
    try:
        both = pa.concat_tables([sure.take(pa.array(at_sure)), asked.cast(sure.schema)])
    except (pa.ArrowInvalid, ValueError) as error:
        reason = f"The model answers in other columns than it: {told(error)}."
        raise _without_twin(reason) from error
    places = np.empty(len(at_sure) + len(at_asked), np.int64)
    places[np.concatenate([at_sure, at_asked])] = np.arange(len(places))
    return both.take(pa.array(places)).combine_chunks()


def _alike(one: pa.Table, other: pa.Table, tolerance: float) -> bool:
    if one.column_names != other.column_names:
        return False
    for mine, theirs in zip(one.columns, other.columns, strict=True):
        if pa.types.is_floating(mine.type) and pa.types.is_floating(theirs.type):
            pair = mine.to_numpy(), theirs.to_numpy()
            if not np.allclose(*pair, rtol=1e-6, atol=tolerance, equal_nan=True):
                return False
        elif mine.to_pylist() != theirs.to_pylist():
            return False
    return True


def named(raw: Any, names: list[str]) -> dict[str, Any]:
    """Predictions of any kind as columns.

    Frames, records and dictionaries keep their names. Arrays get those of the output signature if
    they fit, else `prediction`, or `prediction_0`, `prediction_1` and so on.
    """
    if isinstance(raw, pd.DataFrame):
        return {str(name): raw.iloc[:, at] for at, name in enumerate(raw.columns)}
    if isinstance(raw, dict):
        return {str(name): value for name, value in raw.items()}
    if isinstance(raw, list) and raw and all(isinstance(one, dict) for one in raw):
        keys = dict.fromkeys(key for one in raw for key in one)
        return {str(key): [one.get(key) for one in raw] for key in keys}
    if type(raw).__module__.startswith("scipy.sparse"):  # a model's environment may lack scipy
        raw = raw.toarray()
    if isinstance(raw, np.ndarray) and raw.ndim == 2 and raw.shape[1] > 0:
        width = raw.shape[1]
        several = [f"prediction_{at}" for at in range(width)] if width > 1 else ["prediction"]
        chosen = names if len(names) == width else several
        return {name: raw[:, at] for at, name in enumerate(chosen)}
    return {names[0] if len(names) == 1 else "prediction": raw}


def _array(column: Any) -> pa.Array:
    """A column in Arrow's form; a prediction that is NaN stays NaN, for it is no missing one."""
    if isinstance(column, pd.Series):
        column = column.to_numpy() if column.dtype.kind in "fiub" else column.tolist()
    if isinstance(column, np.ndarray) and column.ndim > 1:
        column = column.tolist()
    array = pa.array(column)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
