"""A model that answers rows of one fixed table, with a column of every type: `python typed.py DIR`.

Row 0 holds the least of each type, row 1 the largest, row 2 nothing wherever the type can say so.
"""

import datetime as dt
import math
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema

WHOLE = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = ("float16", "float32", "float64")


def table() -> pd.DataFrame:
    columns: dict[str, Any] = {"bool": np.array([False, True, False])}
    for dtype in WHOLE:
        cells = [int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)]
        columns[dtype] = np.array([*cells, 0], dtype)
        for nullable in (dtype.replace("int", "Int").replace("uI", "UI"), f"{dtype}[pyarrow]"):
            columns[nullable] = pd.Series([*cells, None], dtype=nullable)
    for dtype in FLOATS:
        columns[dtype] = np.array([-math.inf, np.finfo(dtype).max, math.nan], dtype)
    for nullable in ("Float32", "Float64", "float[pyarrow]", "double[pyarrow]"):
        columns[nullable] = pd.Series([-1.5, math.inf, None], dtype=nullable)
    for nullable in ("boolean", "bool[pyarrow]"):
        columns[nullable] = pd.Series([False, True, None], dtype=nullable)
    for text in ("str", "string", "string[pyarrow]", "object", "category"):
        columns[text] = pd.Series(["", "é\n\0x", None], dtype=text)
    columns["mixed"] = pd.Series(["NaN", 1.5, math.nan], dtype=object)
    columns["exact"] = pd.Series([2**53, -(2**53), None], dtype="Int64")
    columns["whole"] = pd.Series([2**63 - 1, 1 - 2**63, None], dtype=object)
    columns["truth"] = pd.Series([True, False, None], dtype=object)
    columns["number"] = pd.Series([0.1, 2.0, None], dtype=object)
    columns["record"] = pd.Series([{"a": [1, None]}, {"a": math.nan}, None], dtype=object)
    moments = ["2026-01-02T00:00:00", "2026-01-03T04:05:06", None]
    columns["moment"] = pd.to_datetime(pd.Series(moments))
    columns["day"] = pd.Series([dt.date(2026, 1, 2), dt.date(1, 1, 1), None], dtype=object)
    return pd.DataFrame(columns)


class Rows(PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return table().take(model_input["at"].to_numpy())


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        Path(sys.argv[1]),
        python_model=Rows(),
        signature=ModelSignature(Schema([ColSpec("long", "at")])),
        pip_requirements=[],
    )
