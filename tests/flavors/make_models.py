"""Trains and saves the models of one framework: `python make_models.py FRAMEWORK DIRECTORY`.

Run as a script, in a process of its own: two frameworks in one process bring two OpenMP runtimes,
and what MLflow warns about while it saves does not concern the tests.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import PythonModel
from mlflow.types import Schema, TensorSpec

NAMES = ["a", "b"]
TARGET = "late"


def table(rows: int = 400) -> pd.DataFrame:
    """Rows that every framework can learn from, the same ones every time."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(rows, 2)).round(3), columns=NAMES)
    frame[TARGET] = (frame["a"] + frame["b"] / 2 + random.normal(size=rows) / 3 > 0).astype(int)
    return frame


TABLE = table()
FEATURES, LABELS = TABLE[NAMES], TABLE[TARGET]
TENSOR = FEATURES.to_numpy("float32")
EXAMPLE = FEATURES.head(3)


def columns(output: Any) -> dict[str, Any]:
    """What is saved beside a model that takes named columns."""
    signature = infer_signature(EXAMPLE, output)
    return {"signature": signature, "input_example": EXAMPLE, "pip_requirements": []}


def tensor(output: Any) -> dict[str, Any]:
    """What is saved beside a model that takes one array of numbers, rows first."""
    rows = Schema([TensorSpec(np.dtype("float32"), (-1, len(NAMES)))])
    signature = ModelSignature(rows, infer_signature(TENSOR, output).outputs)
    return {"signature": signature, "input_example": TENSOR[:3], "pip_requirements": []}


def xgboost(place: Path) -> None:
    """A classifier that answers with labels, and a booster that answers with probabilities."""
    import xgboost as xgb

    classifier = xgb.XGBClassifier(n_estimators=8, max_depth=2).fit(FEATURES, LABELS)
    mlflow.xgboost.save_model(
        classifier, place / "xgboost_classifier", **columns(classifier.predict(EXAMPLE))
    )
    booster = xgb.train(
        {"objective": "binary:logistic", "max_depth": 2}, xgb.DMatrix(FEATURES, LABELS), 8
    )
    mlflow.xgboost.save_model(
        booster, place / "xgboost", **columns(booster.predict(xgb.DMatrix(EXAMPLE)))
    )


def lightgbm(place: Path) -> None:
    """A classifier that answers with labels, and a booster that answers with probabilities."""
    import lightgbm as lgb

    classifier = lgb.LGBMClassifier(n_estimators=8, num_leaves=4, verbose=-1)
    classifier.fit(FEATURES, LABELS)
    mlflow.lightgbm.save_model(
        classifier, place / "lightgbm_classifier", **columns(classifier.predict(EXAMPLE))
    )
    booster = classifier.booster_
    mlflow.lightgbm.save_model(booster, place / "lightgbm", **columns(booster.predict(EXAMPLE)))


def pytorch(place: Path) -> None:
    """A network that takes a tensor, as MLflow exports it, and a pickled one that takes columns."""
    import torch

    network = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    network.append(torch.nn.Sigmoid())
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    truth = torch.tensor(LABELS.to_numpy("float32")[:, None])
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy(network(torch.tensor(TENSOR)), truth).backward()
        optimizer.step()
    with torch.no_grad():
        output = network(torch.tensor(TENSOR[:3])).numpy()
    mlflow.pytorch.save_model(network, place / "pytorch", **tensor(output))
    mlflow.pytorch.save_model(
        network, place / "pytorch_columns", serialization_format="pickle",
        **columns(pd.DataFrame(output)),
    )  # fmt: skip


def tensorflow(place: Path) -> None:
    """A Keras network."""
    import keras

    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1, "sigmoid")]
    )
    network.compile(keras.optimizers.Adam(0.1), "binary_crossentropy")
    network.fit(TENSOR, LABELS.to_numpy(), batch_size=100, epochs=12, verbose=0)
    output = network.predict(TENSOR[:3], verbose=0)
    mlflow.tensorflow.save_model(network, place / "tensorflow", **tensor(output))


def onnx(place: Path) -> None:
    """A converted scikit-learn classifier: its two outputs have names, and one of them two axes."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression().fit(TENSOR, LABELS)
    graph = to_onnx(classifier, TENSOR[:1], options={"zipmap": False})
    output = {
        "label": classifier.predict(TENSOR[:3]),
        "probabilities": classifier.predict_proba(TENSOR[:3]).astype("float32"),
    }
    mlflow.onnx.save_model(graph, place / "onnx", **tensor(output))


def statsmodels(place: Path) -> None:
    """A generalized linear model."""
    import statsmodels.api as sm

    fitted = sm.GLM(LABELS, FEATURES, family=sm.families.Binomial()).fit()
    mlflow.statsmodels.save_model(fitted, place / "statsmodels", **columns(fitted.predict(EXAMPLE)))


class Threshold(PythonModel):
    """What somebody writes by hand around rules or a model of their own."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        score = model_input["a"] + model_input["b"] / 2
        probability = 1 / (1 + np.exp(-score))
        return pd.DataFrame({"prediction": (score > 0).astype(int), "probability": probability})


def pyfunc(place: Path) -> None:
    """A model in Python."""
    model = Threshold()
    mlflow.pyfunc.save_model(
        place / "pyfunc", python_model=model, **columns(model.predict(None, EXAMPLE))
    )


FRAMEWORKS: dict[str, Callable[[Path], None]] = {
    function.__name__: function
    for function in (xgboost, lightgbm, pytorch, tensorflow, onnx, statsmodels, pyfunc)
}

if __name__ == "__main__":
    FRAMEWORKS[sys.argv[1]](Path(sys.argv[2]))
