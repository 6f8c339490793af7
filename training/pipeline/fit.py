"""A fitted pipeline with the scorer around it, as MLflow will load it later."""

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
from cloche.values.redaction import without_values

_NUMBERED = "xgboost."  # its classifiers take no other labels than 0, 1, …


@dataclass(frozen=True)
class Fitted:
    """A pipeline fitted on training rows.

    Attributes:
        pipeline: the scikit-learn pipeline.
        description: what `Scorer.configure` takes beside it, as plain JSON values.
    """

    pipeline: Any
    description: dict[str, Any]

    def predict(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """The version's output for (n rows) raw inputs, as stock MLflow will give it."""
        return self.score(self.prepare(inputs))

    def score(self, features: pd.DataFrame) -> pd.DataFrame:
        """The same for (n rows) prepared features."""
        return Scorer().configure(self.pipeline, self.description).score(features)

    def prepare(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """(n rows) raw inputs as the pipeline takes them."""
        return prepare(inputs, self.description["columns"])


def fit(recipe: Recipe, inputs: pd.DataFrame, target: pd.Series, **params: Any) -> Fitted:
    """Fit the recipe's pipeline.

    Args:
        recipe: the checked recipe.
        inputs: (n rows) the feature columns.
        target: (n,) true labels or values.
        **params: parameters of the estimator that go before the recipe's own.

    Raises:
        TrainingError: the estimator refused the parameters or the data.
    """
    columns = {role: list(names) for role, names in recipe.columns.model_dump().items()}
    # A plain numpy array: the estimator must not remember a pandas dtype that skops has to trust.
    truth = np.array(target.tolist())
    classes = None
    if recipe.task != "regression" and recipe.estimator.class_.startswith(_NUMBERED):
        classes, truth = np.unique(truth, return_inverse=True)
    try:
        # Standard output is the command's own, and may be JSON: LightGBM prints there as it fits.
        with redirect_stdout(sys.stderr):
            pipeline = build_pipeline(recipe, **params).fit(prepare(inputs, columns), truth)
    except (ValueError, TypeError) as error:
        said = without_values(str(error), inputs)
        raise TrainingError(f"{recipe.estimator.class_} could not be fitted: {said}") from error
    description: dict[str, Any] = {"task": recipe.task, "columns": columns}
    if recipe.task != "regression":
        description["classes"] = (pipeline.classes_ if classes is None else classes).tolist()
    if recipe.task == "binary":
        positive = description["classes"][-1] if recipe.positive is None else recipe.positive
        description |= {"positive": positive, "threshold": recipe.threshold}
    return Fitted(pipeline, description)
