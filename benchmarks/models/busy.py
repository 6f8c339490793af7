"""A model that keeps a core busy for a while for each row: an MLflow model from code."""

import logging
import time
from pathlib import Path
from typing import Any, Final

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, Schema

ROW: Final = {"a": 0.5}


class Busy(PythonModel):
    """Answers the sum of each row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read how long a row takes."""
        self._seconds = context.model_config["milliseconds"] / 1000

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """Spend the time, and answer."""
        until = time.thread_time() + self._seconds * len(model_input)
        while time.thread_time() < until:
            pass
        return model_input.sum(axis=1).to_numpy()


def save(folder: Path, milliseconds: float) -> None:
    """Save a model that takes so long for a row."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.pyfunc.save_model(
        folder, python_model=__file__, model_config={"milliseconds": milliseconds},
        signature=ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("double")])),
        input_example=pd.DataFrame([ROW]), pip_requirements=[],
    )  # fmt: skip


mlflow.models.set_model(Busy())
