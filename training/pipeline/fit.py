"""Fits a pipeline, and wraps it in the scorer with which MLflow will load it later."""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cloche.training.errors import TrainingError
from cloche.training.pipeline.build import build_pipeline
from cloche.training.pipeline.scorer import Scorer, prepare
from cloche.training.recipe.schema import Recipe
from cloche.values.redaction import redact

_INTEGER_LABELS_ONLY = "xgboost."  # package whose classifiers accept only the labels 0, 1, …


@dataclass(frozen=True)
class Fitted:
    """A pipeline fitted on training rows.

    Attributes:
        description: Second argument of `Scorer.configure`, as plain JSON values.
    """

    pipeline: Any
    description: dict[str, Any]

    def predict(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """Return the version's output for (n rows) raw inputs, as stock MLflow will return it."""
        return self.score(self.prepare(inputs))

    def score(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the version's output for (n rows) prepared features."""
        return Scorer().configure(self.pipeline, self.description).score(features)

    def prepare(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """Return (n rows) raw inputs as features of the pipeline."""
        return prepare(inputs, self.description["columns"])


def fit(recipe: Recipe, inputs: pd.DataFrame, target: pd.Series, **params: Any) -> Fitted:
    """Fit the recipe's pipeline.

    Raises:
        TrainingError: The estimator refused the parameters or the data.
    """
    columns = {role: list(names) for role, names in recipe.columns.model_dump().items()}
    # A plain numpy array: the estimator must not store a pandas dtype, which skops would not trust.
    truth = np.array(target.tolist())
    classes = None
    if recipe.task != "regression" and recipe.estimator.class_.startswith(_INTEGER_LABELS_ONLY):
        classes, truth = np.unique(truth, return_inverse=True)
    try:
        # LightGBM prints to stdout while it fits, and the command's own output there may be JSON.
        with redirect_stdout(sys.stderr):
            pipeline = build_pipeline(recipe, **params).fit(prepare(inputs, columns), truth)
    except (ValueError, TypeError) as error:
        reason = redact(str(error), inputs)
        raise TrainingError(f"{recipe.estimator.class_} could not be fitted: {reason}") from error
    description: dict[str, Any] = {"task": recipe.task, "columns": columns}
    if recipe.task != "regression":
        description["classes"] = (pipeline.classes_ if classes is None else classes).tolist()
    if recipe.task == "binary":
        positive = description["classes"][-1] if recipe.positive is None else recipe.positive
        description |= {"positive": positive, "threshold": recipe.threshold}
    return Fitted(pipeline, description)
