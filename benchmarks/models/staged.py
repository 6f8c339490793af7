"""A stage, a model, or both as one model, whose work is chosen: an MLflow model from code."""

import logging
import re
import time
from pathlib import Path
from typing import Any, Final

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, Schema

STAGE, MODEL, BOTH = "stage", "model", "both"
COMPUTES, WAITS_FOR_ROWS, WAITS_FOR_BATCHES = "computes", "waits for rows", "waits for batches"
ROW: Final = {"text": "What  a   FRIENDLY comment, and so many words!! " * 4}
_WAIT_SECONDS = 0.01
_WORD = re.compile(r"\w+")
_RAW, _PREPARED = Schema([ColSpec("string", "text")]), Schema([ColSpec("string", "tokens")])
_ANSWER = Schema([ColSpec("double")])


class Staged(PythonModel):
    """Tokenizes texts, judges tokens, or does both."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read which part of the work it does."""
        self._part = context.model_config["part"]
        self._work = context.model_config["work"]

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """Do this part of the work."""
        rows = model_input
        if self._part != MODEL:
            if self._work != COMPUTES:
                time.sleep(_WAIT_SECONDS * (len(rows) if self._work == WAITS_FOR_ROWS else 1))
            tokens = [" ".join(_WORD.findall(text.lower())) for text in rows["text"]]
            rows = pd.DataFrame({"tokens": tokens})
        if self._part == STAGE:
            return rows
        return rows["tokens"].str.count("friendly").astype("float64").tolist()


def save(folder: Path, part: str, work: str) -> None:
    """Save a part as an MLflow model."""
    taken, given = _PREPARED if part == MODEL else _RAW, _PREPARED if part == STAGE else _ANSWER
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.pyfunc.save_model(
        folder, python_model=__file__, model_config={"part": part, "work": work},
        signature=ModelSignature(taken, given), pip_requirements=[],
        input_example=pd.DataFrame({taken.input_names()[0]: [ROW["text"]]}),
    )  # fmt: skip


mlflow.models.set_model(Staged())
