"""The signature of a version: named, typed inputs and named, typed outputs."""

import warnings

import pandas as pd
from mlflow.models import ModelSignature, infer_signature

from cloche.training.recipe.sections import Columns


def model_inputs(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The feature columns of `frame` with the types that callers send.

    Numbers take the types that a CSV reader gives them, because MLflow refuses a whole number where
    the signature says double: int64 where every value is whole by type and none is missing, bool
    likewise, float64 otherwise. Categories keep their type where every value has one; a mix of
    types becomes text, and so do whole numbers of which some are missing, for MLflow has no column
    of those. Truth values of which some are missing are Python's, with None. Everything else stays.
    """
    inputs = frame[list(columns.features)].copy()
    for name in columns.numeric:
        inputs[name] = inputs[name].to_numpy(_number_type(inputs[name]), na_value=float("nan"))
    for name in columns.categorical:
        inputs[name] = _categories(inputs[name])
    for name in columns.datetime:
        inputs[name] = pd.to_datetime(inputs[name])
    return inputs


def _categories(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object).infer_objects()
    gaps = values.isna()
    if gaps.any() and pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        return values.astype(object).where(~gaps, None)
    several = pd.api.types.is_float_dtype(values) or values.dtype == object
    if several or (gaps.any() and pd.api.types.is_integer_dtype(values)):
        return as_text(values)
    return values


def as_text(values: pd.Series) -> pd.Series:
    """Categories as text; whole numbers lose the `.0` that a missing neighbour gave them."""
    return values.map(_text, na_action="ignore").astype("str")


def _number_type(values: pd.Series) -> str:
    if not values.isna().any():
        if pd.api.types.is_bool_dtype(values):
            return "bool"
        if pd.api.types.is_integer_dtype(values):
            return "int64"
    return "float64"


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def deciding_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that decide which schema MLflow infers for (n rows) `frame`.

    MLflow looks at every cell in turn, for seconds where there are 200,000 rows. The type of a
    column is that of its dtype, though, and the column is optional if any cell is missing: its
    first present and its first missing cell say as much. Columns of Python objects are the
    exception, because each cell may have a type of its own; a table that has one is returned whole.
    """
    if any(map(pd.api.types.is_object_dtype, frame.dtypes)):
        return frame
    missing = frame.isna().to_numpy()
    decisive = {*missing.argmax(axis=0), *missing.argmin(axis=0)} if len(frame) else ()
    return frame.iloc[sorted(decisive)]


def make_signature(inputs: pd.DataFrame, outputs: pd.DataFrame) -> ModelSignature:
    """Infer the signature from all training rows: a column is optional if it was ever missing."""
    with warnings.catch_warnings():
        # Whole-number categories and labels are meant; numeric features are float64 already.
        warnings.filterwarnings("ignore", message=".*integer column", category=UserWarning)
        return infer_signature(deciding_rows(inputs), deciding_rows(outputs))
