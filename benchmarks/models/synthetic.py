"""Models of synthetic data, trained and registered with scikit-learn and MLflow alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.row import Column, Row

ROWS: Final = Path("rows.parquet")  # the training data, in the folder of a model
NUMBERS: Final = [f"n{i}" for i in range(8)]
WORDS: Final = [f"c{i}" for i in range(4)]
_ROWS = 5000
_TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "numpy.dtype"]


@dataclass(frozen=True)
class Made:
    """A fitted pipeline and the table that it was fitted on."""

    pipeline: Any
    table: pd.DataFrame


def twelve() -> Made:
    """Fit histogram gradient boosting on 8 numbers and 4 categories."""
    table, target = _twelve_columns()
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, WORDS), remainder="passthrough")
    pipeline = make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))
    return Made(pipeline.fit(table, target), table)


def linear() -> Made:
    """Fit logistic regression on the columns of `twelve`."""
    table, target = _twelve_columns()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), WORDS), (StandardScaler(), NUMBERS)
    )
    return Made(make_pipeline(columns, LogisticRegression()).fit(table, target), table)


def _twelve_columns() -> tuple[pd.DataFrame, pd.Series]:
    random = np.random.default_rng(0)
    numbers = {name: random.normal(size=_ROWS) for name in NUMBERS}
    words = {name: random.choice(["alpha", "beta", "gamma", "delta"], _ROWS) for name in WORDS}
    table = pd.DataFrame({**numbers, **words})
    target = table.n0 + (table.c0 == "alpha") + random.normal(size=_ROWS) > 0
    return table, target.astype(int)


def wide() -> Made:
    """Fit logistic regression on 600 numbers: the number of columns is slow here, not the model."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        random.normal(size=(_ROWS, 600)), columns=[f"feature_{i:03}" for i in range(600)]
    )
    target = table.iloc[:, :20].sum(axis=1) + random.normal(size=_ROWS) > 0
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    return Made(pipeline.fit(table, target.astype(int)), table)


MAKERS: Final[dict[str, Callable[[], Made]]] = {"twelve": twelve, "linear": linear, "wide": wide}


def register(name: str, folder: Path) -> Row:
    """Fit a model and register it as version 1 of `name`; return a row to predict."""
    made = MAKERS[name]()
    signature = infer_signature(made.table, made.pipeline.predict(made.table))
    path = folder / "model"
    mlflow.sklearn.save_model(
        made.pipeline, path, signature=signature,
        input_example=made.table[:1], skops_trusted_types=_TRUSTED,
    )  # fmt: skip
    made.table.to_parquet(folder / ROWS)
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    client.create_model_version(name, source=str(path))
    values = made.table.iloc[0].to_dict()
    return Row(
        tuple(
            Column(column.name, column.type.name, values[column.name])
            for column in signature.inputs
        )
    )
