"""What a loaded version predicts for a frame, as named columns of equal length."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.pyfunc import PyFuncModel
from mlflow.types import Schema
from scipy import sparse

from serving.batch.tensors import cast
from serving.host import frameworks


class WrongShape(Exception):
    """The model's answer does not have one entry for each row."""


class Scorer:
    """One loaded version. `predict` is MLflow's own, enforcement of the signature included."""

    def __init__(self, model: PyFuncModel) -> None:
        self._model = model
        self._outputs: Schema | None = model.metadata.get_output_schema()

    @classmethod
    def load(cls, path: Path) -> "Scorer":
        """Load the version whose artifacts lie at `path`.

        Raises:
            Exception: Whatever MLflow or the model's code raises while loading.
        """
        logging.getLogger("mlflow.models.utils").setLevel(logging.ERROR)  # warns of extra columns
        return cls(frameworks.load(path))

    @property
    def schema(self) -> Schema | None:
        """What the version takes."""
        schema: Schema | None = self._model.metadata.get_input_schema()
        return schema

    def predict(self, frame: pd.DataFrame) -> pa.Table:
        """The prediction columns for (n rows) of a frame, n > 0.

        Raises:
            WrongShape: The answer has not n entries.
            Exception: Whatever MLflow or the model raises.
        """
        schema = self.schema
        if schema is not None and schema.is_tensor_spec():
            frame = cast(frame, schema)
        raw = self._model.predict(frame)
        columns = named(raw, self._output_names())
        if any(len(column) != len(frame) for column in columns.values()):
            raise WrongShape(f"The model answered {len(frame)} rows with another number of rows.")
        return pa.table({name: _array(column) for name, column in columns.items()})

    def _output_names(self) -> list[str]:
        if self._outputs is None or not self._outputs.has_input_names():
            return []
        return [str(name) for name in self._outputs.input_names()]


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
    if sparse.issparse(raw):
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
