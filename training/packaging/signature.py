"""The signature of a version: named, typed inputs and named, typed outputs."""

import warnings

import pandas as pd
from mlflow.models import ModelSignature, infer_signature

from cloche.training.recipe.sections import Columns
from cloche.values.cells import label


def model_inputs(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Return the feature columns of `frame` with the types that callers send.

    Numbers get the types that a CSV reader gives them, because MLflow refuses an integer if the
    signature says double: int64 or bool if the column has that type and no missing value, float64
    otherwise. Categories keep their type if all values have the same one; a mix of types becomes
    text, and so do integers of which some are missing, because MLflow has no column type for those.
    Booleans of which some are missing become Python objects, with None. All other columns stay
    unchanged.
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
    """Return categories as text; integers that a gap turned into floats lose the `.0`."""
    return values.map(label, na_action="ignore").astype("str")


def _number_type(values: pd.Series) -> str:
    if not values.isna().any():
        if pd.api.types.is_bool_dtype(values):
            return "bool"
        if pd.api.types.is_integer_dtype(values):
            return "int64"
    return "float64"


def deciding_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that determine which schema MLflow infers for (n rows) `frame`.

    MLflow checks every cell in turn, which takes seconds for 200,000 rows. However, the type of a
    column follows from its dtype, and the column is optional if any cell is missing, so its first
    present and its first missing cell are sufficient. Columns of Python objects are an exception,
    because each cell may have its own type; a table with such a column is returned whole.
    """
    if any(map(pd.api.types.is_object_dtype, frame.dtypes)):
        return frame
    missing = frame.isna().to_numpy()
    decisive = {*missing.argmax(axis=0), *missing.argmin(axis=0)} if len(frame) else ()
    return frame.iloc[sorted(decisive)]


def make_signature(inputs: pd.DataFrame, outputs: pd.DataFrame) -> ModelSignature:
    """Infer the signature from all training rows; a column with a missing value is optional."""
    with warnings.catch_warnings():
        # Integers are intended here: such a column had no missing value in training.
        warnings.filterwarnings("ignore", message=".*integer column", category=UserWarning)
        return infer_signature(deciding_rows(inputs), deciding_rows(outputs))
