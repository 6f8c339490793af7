"""A stage and a model whose answers say which versions made them.

Stage N answers `b = a + N`, and model M answers `1000 * b + M`: 3002 for the row `a = 0` is of
stage 3 and model 2. What a row makes the stage do besides is its value. The stage also answers
what JSON has no form for.
"""

import os
import signal
import sys
import time
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema

CRASH, HANG, REFUSE, SHORT, NAMELESS, LOST = -1, -2, -3, -4, -5, -6
REFUSED_BY_MODEL = 99
STAGE, MODEL = "stage", "model"
WRONG_COLUMN, WRONG_TYPE, RAISES = (
    "stage with another column",
    "stage of texts",
    "stage that raises",
)
UNSIGNED = "stage that does not say what it answers"
UNSIGNED_TEXTS = "stage of texts that does not say so"
PRICE = Decimal("1.50")


class Stage(PythonModel):
    """Prepares rows."""

    def __init__(self, number: int, behaviour: str) -> None:
        self.number = number
        self.behaviour = behaviour

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        values = model_input["a"]
        if (values == CRASH).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (values == HANG).any():
            time.sleep(3600)
        if self.behaviour == RAISES or (values == REFUSE).any():
            raise ValueError("not this row")
        answer = pd.DataFrame({"other": [PRICE] * len(values), "b": values + self.number})
        if self.behaviour == UNSIGNED_TEXTS:
            answer = answer.astype({"b": str})
        if (values == SHORT).any():
            return answer.iloc[:-1]
        if (values == NAMELESS).any():
            return values.to_numpy()
        return answer.mask(values == LOST)


class Model(PythonModel):
    """Answers by prepared rows."""

    def __init__(self, number: int) -> None:
        self.number = number

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if (model_input["b"] >= REFUSED_BY_MODEL).any():
            raise ValueError("not this row")
        return (1000 * model_input["b"] + self.number).tolist()


def save(path: Path, number: int, kind: str, instance: PythonModel | None = None) -> None:
    """Save version `number` of a stage or of a model, or an instance in its place."""
    name, type_of = ("c", "double") if kind == WRONG_COLUMN else ("b", "double")
    if kind == WRONG_TYPE:
        type_of = "string"
    prepared = Schema([ColSpec(type_of, name)])
    signature = ModelSignature(Schema([ColSpec("double", "a")]), prepared)
    python_model: PythonModel = Stage(number, kind)
    column = "a"
    if kind in (UNSIGNED, UNSIGNED_TEXTS):
        signature = ModelSignature(signature.inputs)
    if kind == MODEL:
        python_model, column = Model(number), "b"
        signature = ModelSignature(prepared, Schema([ColSpec("double")]))
    with warnings.catch_warnings(action="ignore"):  # that a hint of `Any` tells it nothing
        mlflow.pyfunc.save_model(
            path, python_model=instance or python_model, signature=signature,
            input_example=None if kind == RAISES else pd.DataFrame({column: [0.0]}),
            pip_requirements=[],
        )  # fmt: skip


# The classes travel with the model: hosts do not find the module of a test.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
