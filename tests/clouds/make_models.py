"""Saves the model that the tests deploy: `python make_models.py PATH`."""

import sys

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel


class Price(PythonModel):
    """Rows to numbers, by the columns that a signature names, and a parameter."""

    def predict(self, context, model_input, params=None):
        factor = (params or {}).get("factor", 1.0)
        by_kind = model_input["kind"].map({"new": 2.0, "used": 1.0}).fillna(0.5)
        return np.asarray(model_input["size"] * by_kind * factor)


def main(path: str) -> None:
    rows = pd.DataFrame({"size": [1.5, 20.0, 3.25], "kind": ["new", "used", "old, with a comma"]})
    model = Price()
    signature = infer_signature(rows, model.predict(None, rows), {"factor": 1.0})
    mlflow.pyfunc.save_model(path, python_model=model, signature=signature, input_example=rows)


if __name__ == "__main__":
    main(sys.argv[1])
