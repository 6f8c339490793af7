"""Reads what a pyfunc returned if it has only one possible meaning, and refuses it otherwise.

A model trained by Cloche returns a table with named columns; other models return labels,
probabilities, matrices or tables with other columns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.training.errors import TrainingError
from cloche.training.evaluation.predictions import (
    Floats,
    Predictions,
    TargetSpec,
    quote_names,
    to_floats,
)
from cloche.values.redaction import redact

PREDICTION = "prediction"
PROBABILITY = "probability"
# Probabilities that were stored as float32 or rounded for people still add up to one within this
# tolerance.
_SUM_TOLERANCE = 1e-3
_SEVERAL = (Mapping, pd.DataFrame)


def read(output: Any, target: TargetSpec, *, rows: int, name: str | None = None) -> Predictions:
    """Read what a pyfunc's `predict` returned for `rows` rows.

    Raises:
        TrainingError: The output has another number of rows, missing values, or no single meaning
            for the task.
    """
    if name is not None:
        output = _named(output, name)
    if isinstance(output, Mapping):
        output = {str(key): _as_array(column) for key, column in output.items()}
        if any(array.ndim > 1 for array in output.values()):
            predictions = _from_arrays(output, target)
        else:
            predictions = _from_table(_table(output), target)
    elif isinstance(output, pd.DataFrame):
        predictions = _from_table(output, target)
    else:
        predictions = _from_array(_as_array(output), target)
    if len(predictions) != rows:
        raise TrainingError(f"the model returned {len(predictions)} predictions for {rows} rows")
    return predictions


def _named(output: Any, name: str) -> Any:
    """Return the output with the given name."""
    columns = {str(key): key for key in output} if isinstance(output, _SEVERAL) else {}
    if name not in columns:
        found = f"named outputs {quote_names(list(columns))}" if columns else "no named outputs"
        raise TrainingError(f"output: the policy says {name!r}, and the model returned {found}")
    return output[columns[name]]


def _table(arrays: Mapping[str, npt.NDArray[Any]]) -> pd.DataFrame:
    try:
        return pd.DataFrame(dict(arrays))
    except ValueError as error:
        reason = redact(str(error), dict(arrays))
        raise TrainingError(f"the model's outputs are not a table: {reason}") from error


def _from_arrays(arrays: Mapping[str, npt.NDArray[Any]], target: TargetSpec) -> Predictions:
    """Read the outputs of a graph or network: a single output, or labels and probabilities."""
    if len(arrays) == 1:
        return _from_array(next(iter(arrays.values())), target)
    for name, array in arrays.items():
        _refuse_gaps(array, f"predictions in {name!r}")
    flat = {name: a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for name, a in arrays.items()}
    labels = [array for array in flat.values() if array.ndim == 1 and target.knows(array)]
    matrices = [a for a in flat.values() if a.ndim == 2 and a.shape[1] == len(target.classes)]
    if len(arrays) == 2 and len(labels) == len(matrices) == 1 and target.task != "regression":
        probabilities = _checked_probabilities(to_floats(matrices[0], "the output"))
        return Predictions(
            target, codes=target.encode_answers(labels[0]), probabilities=probabilities
        )
    raise TrainingError(_ambiguous(list(arrays)))


def _ambiguous(names: list[str]) -> str:
    return (
        f"cannot tell which of the model's outputs {quote_names(names)} is the prediction; "
        f"name one {PREDICTION!r}, or say which in the policy, like: output: {names[-1]}"
    )


def _from_table(table: pd.DataFrame, target: TargetSpec) -> Predictions:
    table = table.set_axis([str(name) for name in table.columns], axis="columns")
    named = _named_probabilities(table, target)
    if PREDICTION in table.columns:
        _refuse_gaps(table[PREDICTION].to_numpy(), "predictions")
        if target.task == "regression":
            return Predictions(target, values=to_floats(table[PREDICTION], PREDICTION))
        codes = target.encode_answers(table[PREDICTION])
        return Predictions(target, codes=codes, probabilities=named)
    if named is not None:
        return _from_probabilities(named, target)
    if table.shape[1] == 1:
        return _from_array(table.iloc[:, 0].to_numpy(), target)
    if target.task != "regression" and all(map(pd.api.types.is_numeric_dtype, table.dtypes)):
        return _from_array(table.to_numpy(dtype=np.float64), target)
    raise TrainingError(_ambiguous(list(table.columns)))


def _named_probabilities(table: pd.DataFrame, target: TargetSpec) -> Floats | None:
    """Return probabilities found by column names: the positive label's, or every label's."""
    if target.task == "regression":
        return None
    if target.task == "binary" and PROBABILITY in table.columns:
        _refuse_gaps(table[PROBABILITY].to_numpy(), "probabilities")
        return _two_columns(to_floats(table[PROBABILITY], PROBABILITY), target)
    for pattern in (PROBABILITY + "_{}", "{}"):
        names = [pattern.format(label) for label in target.classes]
        if set(names) <= set(table.columns):
            _refuse_gaps(table[names].to_numpy(), "predictions")
            matrix = np.column_stack([to_floats(table[name], name) for name in names])
            return _checked_probabilities(matrix)
    return None


def _from_array(array: npt.NDArray[Any], target: TargetSpec) -> Predictions:
    _refuse_gaps(array, "predictions")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and target.task != "regression":
        if array.shape[1] != len(target.classes):
            raise TrainingError(
                f"the model returned {array.shape[1]} columns, and the target has "
                f"{len(target.classes)} labels: {quote_names(target.classes)}"
            )
        return _from_probabilities(_checked_probabilities(to_floats(array, "the output")), target)
    if array.ndim != 1:
        raise TrainingError(
            f"the model returned an array of shape {array.shape}; "
            "one prediction for each row was expected"
        )
    if target.task == "regression":
        return Predictions(target, values=to_floats(array, "the output"))
    if target.task == "binary" and _looks_like_probabilities(array, target):
        return _from_probabilities(_two_columns(to_floats(array, "the output"), target), target)
    return Predictions(target, codes=target.encode_answers(array))


def _refuse_gaps(values: npt.NDArray[Any], what: str) -> None:
    """Check that every row has a prediction.

    Raises:
        TrainingError: Some predictions are NaN, infinite or missing; the message says how many.
    """
    if values.ndim == 0:
        return  # a single value for all rows is refused later, because of its shape
    if values.dtype.kind == "f":
        found = {"NaN": np.isnan(values), "infinite": np.isinf(values)}
    else:
        found = {"missing": np.asarray(pd.isna(values))}
    for kind, gaps in found.items():
        if count := int(gaps.reshape(len(values), -1).any(axis=1).sum()):
            raise TrainingError(f"{count:,} of {len(values):,} {what} are {kind}")


def _from_probabilities(matrix: Floats, target: TargetSpec) -> Predictions:
    if target.task == "binary":
        is_positive = matrix[:, target.positive_code] >= target.threshold
        codes = np.where(is_positive, target.positive_code, 1 - target.positive_code)
    else:
        codes = matrix.argmax(axis=1)
    return Predictions(target, codes=codes.astype(np.intp), probabilities=matrix)


def _two_columns(positive: Floats, target: TargetSpec) -> Floats:
    if ((positive < 0) | (positive > 1)).any():
        raise TrainingError(
            "probabilities must lie between 0 and 1; "
            f"the model returned {positive.min():g} to {positive.max():g}"
        )
    columns = [1 - positive, positive]
    return np.column_stack(columns if target.positive_code == 1 else columns[::-1])


def _checked_probabilities(matrix: Floats) -> Floats:
    sums = matrix.sum(axis=1)
    if (matrix < 0).any() or (np.abs(sums - 1) > _SUM_TOLERANCE).any():
        raise TrainingError(
            "the model's columns are not probabilities: "
            "each row must be non-negative and add up to 1"
        )
    probabilities: Floats = matrix / sums[:, None]
    return probabilities


def _looks_like_probabilities(array: npt.NDArray[Any], target: TargetSpec) -> bool:
    if array.dtype.kind != "f" or target.knows(array):
        return False
    return bool(((array >= 0) & (array <= 1)).all())


def _as_array(output: Any) -> npt.NDArray[Any]:
    if hasattr(output, "toarray"):  # scipy's sparse matrices
        output = output.toarray()
    try:
        return np.asarray(output)
    except ValueError as error:
        reason = redact(str(error), output)
        raise TrainingError(f"the model's output is not a table: {reason}") from error
