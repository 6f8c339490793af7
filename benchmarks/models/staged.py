"""A stage, a model, and both as one model, whose work is chosen: `save(FOLDER, PART, WORK)`."""

import re
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Final

import cloudpickle
import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema

STAGE, MODEL, BOTH = "stage", "model", "both"
COMPUTES, WAITS_FOR_ROWS, WAITS_FOR_BATCHES = "computes", "waits for rows", "waits for batches"
ROW: Final = {"text": "What  a   FRIENDLY comment, and so many words!! " * 4}
_WAIT_SECONDS = 0.01
_WORD = re.compile(r"\w+")
_RAW, _PREPARED = Schema([ColSpec("string", "text")]), Schema([ColSpec("string", "tokens")])
_ANSWER = Schema([ColSpec("double")])


class Staged(PythonModel):
    """A part of the work, or all of it."""

    def __init__(self, part: str, work: str) -> None:
        self.part = part
        self.work = work

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002
        """Tokenize texts, judge tokens, or do both."""
        rows = model_input
        if self.part != MODEL:
            if self.work != COMPUTES:
                time.sleep(_WAIT_SECONDS * (len(rows) if self.work == WAITS_FOR_ROWS else 1))
            tokens = [" ".join(_WORD.findall(text.lower())) for text in rows["text"]]
            rows = pd.DataFrame({"tokens": tokens})
        if self.part == STAGE:
            return rows
        return rows["tokens"].str.count("friendly").astype("float64").tolist()


def save(folder: Path, part: str, work: str) -> None:
    """Save a part as an MLflow model."""
    taken, given = _PREPARED if part == MODEL else _RAW, _PREPARED if part == STAGE else _ANSWER
    column = taken.input_names()[0]
    with warnings.catch_warnings(action="ignore"):  # that a hint of `Any` tells it nothing
        mlflow.pyfunc.save_model(
            folder, python_model=Staged(part, work), signature=ModelSignature(taken, given),
            input_example=pd.DataFrame({column: [ROW["text"]]}), pip_requirements=[],
        )  # fmt: skip


cloudpickle.register_pickle_by_value(sys.modules[__name__])
