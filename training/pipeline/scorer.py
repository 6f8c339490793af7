"""The model's code: stored with every version, and executed by MLflow when it loads a version.

MLflow executes this file as a "model from code" beside a scikit-learn pipeline in the skops format.
The file may import only what the version's requirements list (mlflow, numpy, pandas, scikit-learn),
and nothing of Cloche. Training calls the same functions, so that a row is prepared in exactly one
way.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

MISSING = ""  # stands for a missing category or text, both in training and in serving
DATETIME_PARTS = ("month", "day_of_week", "hour", "day_of_year")


def prepare(frame: pd.DataFrame, columns: dict[str, list[str]]) -> pd.DataFrame:
    """Convert raw columns to the features that the pipeline was fitted on.

    Args:
        frame: (n rows) At least the columns named in `columns`, as MLflow's schema enforcement
            returns them. A column that the signature calls optional may be absent; it counts as
            missing in every row.
        columns: Role → column names.

    Returns:
        (n rows) Numeric columns and parts of datetimes as float64 with NaN for missing; categories
        and texts as strings with `MISSING` for missing.
    """
    features: dict[str, Any] = {}
    for name in columns["numeric"]:
        features[name] = _column(frame, name).to_numpy(dtype=np.float64, na_value=np.nan)
    for name in columns["datetime"]:
        moments = pd.to_datetime(_column(frame, name)).dt
        for part in DATETIME_PARTS:
            features[f"{name}_{part}"] = getattr(moments, part).to_numpy(
                dtype=np.float64, na_value=np.nan
            )
    for name in (*columns["categorical"], *columns["text"]):
        features[name] = np.array([_label(value) for value in _column(frame, name)], dtype=object)
    return pd.DataFrame(features, index=frame.index)


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name in frame.columns:
        return frame[name]
    return pd.Series(np.nan, index=frame.index, name=name, dtype=np.float64)


def _label(value: Any) -> str:
    """Return one category as text; integers that a gap turned into floats lose the `.0`."""
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return MISSING
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class Scorer(PythonModel):
    """Wraps a scikit-learn pipeline and names its outputs.

    It returns a DataFrame with one row for each input row: `prediction`, and for classifiers
    `probability` (of the positive label) or one `probability_LABEL` for each class.
    """

    def load_context(self, context: Any) -> None:
        """Load the pipeline and its description from the version's own artifacts."""
        description = json.loads(Path(context.artifacts["scorer"]).read_text(encoding="utf-8"))
        self.configure(mlflow.sklearn.load_model(context.artifacts["pipeline"]), description)

    def configure(self, pipeline: Any, description: dict[str, Any]) -> "Scorer":
        """Set the fitted pipeline and its description.

        Args:
            pipeline: Fitted pipeline, which takes the output of `prepare`.
            description: `task`, `columns` (role → names); for classifiers `classes` in the order of
                the pipeline's probabilities; for a binary task also `positive` (one of the classes)
                and `threshold`.
        """
        self.pipeline = pipeline
        self.task = description["task"]
        self.columns = description["columns"]
        self.classes = np.array(description.get("classes", []))
        if self.task == "binary":
            self.positive = description["classes"].index(description["positive"])
            self.threshold = description["threshold"]
        return self

    def predict(
        self,
        context: Any,  # noqa: ARG002 (MLflow's interface)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 (MLflow's interface)
    ) -> pd.DataFrame:
        """Predict every row of `model_input`."""
        return self.score(prepare(model_input, self.columns))

    def score(self, features: pd.DataFrame) -> pd.DataFrame:
        """Predict every row of prepared `features`."""
        if self.task == "regression":
            output = {"prediction": np.asarray(self.pipeline.predict(features), dtype=np.float64)}
        else:
            output = self._classify(self.pipeline.predict_proba(features))
        return pd.DataFrame(output, index=features.index)

    def _classify(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        probabilities = np.asarray(probabilities, dtype=np.float64)  # XGBoost computes in float32
        if self.task == "binary":
            probability = probabilities[:, self.positive]
            codes = np.where(probability >= self.threshold, self.positive, 1 - self.positive)
            return {"prediction": self.classes[codes], "probability": probability}
        scores = {
            f"probability_{label}": probabilities[:, i] for i, label in enumerate(self.classes)
        }
        return {"prediction": self.classes[probabilities.argmax(axis=1)], **scores}


mlflow.models.set_model(Scorer())
