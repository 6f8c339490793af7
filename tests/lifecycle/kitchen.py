"""Registers models that behave.

`python kitchen.py DATABASE_URI ARTIFACTS MODEL BEHAVIOUR...`, one version for each.

Version N of a model predicts N for every row. What it does besides is its behaviour; what a row
makes it do, its value.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel

CRASH, HANG, REFUSE = -1, -2, -3
# all that a host needs, which makes an environment in a third of the time that MLflow whole takes
LITTLE = [f"mlflow-skinny=={mlflow.__version__}", f"pandas=={pd.__version__}"]


class Version(PythonModel):
    """A model that misbehaves on request."""

    def __init__(self, number: int, behaviour: str) -> None:
        self.number = number
        self.behaviour = behaviour
        self.hoard: list[bytearray] = []

    def load_context(self, context: Any) -> None:
        if self.behaviour == "exits":
            os._exit(3)
        if self.behaviour == "segfaults":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.behaviour == "hangs":
            time.sleep(3600)
        if self.behaviour == "lacks a module":
            __import__("a_module_that_nobody_has")
        if self.behaviour == "raises":
            raise RuntimeError("this version is broken")

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if self.behaviour == "fails its example":
            raise ValueError("no row suits me")
        if (model_input["a"] == CRASH).any():
            os.kill(os.getpid(), signal.SIGSEGV)
        if (model_input["a"] == HANG).any():
            time.sleep(3600)
        if (model_input["a"] == REFUSE).any():
            raise ValueError("not this row")
        if self.behaviour == "leaks":
            self.hoard.append(bytearray(1_000_000))
        if self.behaviour == "is slow":
            time.sleep(0.5)
        return [self.number] * len(model_input)


def main(uri: str, artifacts: Path, model: str, *behaviours: str) -> None:
    """Register one version for each behaviour."""
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(model)
        number = 0
    except mlflow.MlflowException:
        number = len(client.search_model_versions(f"name = '{model}'"))
    row = pd.DataFrame({"a": [0.0]})
    for behaviour in behaviours:
        number += 1
        path = artifacts / model / str(number)
        mlflow.pyfunc.save_model(
            path, python_model=Version(number, behaviour), signature=infer_signature(row, [1]),
            input_example=row, pip_requirements=LITTLE,
        )  # fmt: skip
        client.create_model_version(model, source=str(path))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
