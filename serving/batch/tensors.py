"""Tables for models whose signature is tensors: numbers and lists with the tensor's type.

MLflow casts what comes as JSON to the type of the tensor, and takes a table only if it has that
type already, which a file of wider or plainer types cannot give.
"""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import Schema, TensorSpec


def cast(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """`frame` with columns of the types that its tensors have, as far as no value is falsified.

    What does not fit is left as it is, for MLflow to say so.
    """
    specs = {str(spec.name): spec for spec in schema.inputs if spec.name is not None}
    unnamed = None if specs else schema.inputs[0]
    columns = {}
    for name in frame.columns:
        spec = specs.get(str(name), unnamed)
        kind: Any = spec.type if isinstance(spec, TensorSpec) else None
        columns[name] = frame[name] if kind is None else _column(frame[name], kind)
    return pd.DataFrame(columns, index=frame.index)


def _column(values: pd.Series, kind: np.dtype[Any]) -> pd.Series:
    if isinstance(values.dtype, np.dtype) and np.can_cast(values.dtype, kind, "same_kind"):
        typed = values.astype(kind)
        return typed if kind.kind == "f" or (typed == values).all() else values
    if values.dtype == object:  # arrays have a type, which must be right; lists get the tensor's
        return values.map(lambda cell: cell.tolist() if isinstance(cell, np.ndarray) else cell)
    return values
