"""Saves one small model of every kind the differential test compares: `python zoo.py DIRECTORY`.

Run as a script, in a process of its own, so that what MLflow warns about while it saves does not
concern the tests.
"""

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pydantic
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Map, Object, Property
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

NUMBERS = Schema([ColSpec("double", "a"), ColSpec("double", "b")])
POINT = Object([Property("x", "long"), Property("y", "string", required=False)])
TAGGED = Object([Property("x", "long"), Property("tags", Array("string"), required=False)])


class Echo(PythonModel):
    """Says which types and values reached it: the strictest witness of how a request was read."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if isinstance(model_input, pd.DataFrame):
            return [
                {name: f"{model_input[name].dtype}:{row[name]!r}" for name in model_input.columns}
                for _, row in model_input.astype(object).iterrows()
            ]
        if isinstance(model_input, dict):
            return {name: f"{value.dtype}{value.shape}" for name, value in model_input.items()}
        return [f"{type(model_input).__name__}:{model_input!r}"]


class Answer(PythonModel):
    """Answers with what a function makes of the rows."""

    def __init__(self, of: Callable[[Any], Any]) -> None:
        self.of = of

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return self.of(model_input)


class Scaled(PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return (model_input.sum(axis=1) * params["factor"]).tolist()


class Failing(PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if (model_input["a"] < 0).any():
            raise ValueError(f"secret {model_input}")
        return model_input["a"].to_numpy()


class Message(pydantic.BaseModel):
    role: str
    content: str


class Hinted(PythonModel):
    def predict(self, model_input: list[Message]) -> list[str]:
        return [f"{one.role}: {one.content}" for one in model_input]


def columns(**kinds: Any) -> Schema:
    """A schema of named columns; a trailing underscore marks an optional one."""
    return Schema(
        [
            ColSpec(kind, name.rstrip("_"), required=not name.endswith("_"))
            for name, kind in kinds.items()
        ]
    )


PYTHON: dict[str, tuple[PythonModel, ModelSignature | None]] = {
    "array": (Answer(lambda rows: rows.sum(axis=1).to_numpy()), ModelSignature(NUMBERS)),
    "series": (Answer(lambda rows: rows.sum(axis=1)), ModelSignature(NUMBERS)),
    "frame": (
        Answer(lambda rows: pd.DataFrame(
            {"prediction": rows.sum(axis=1) > 1, "probability": rows.sum(axis=1) / 10})),
        ModelSignature(NUMBERS),
    ),
    "records": (
        Answer(lambda rows: [
            {"sum": float(total), "parts": [1, "x", None]} for total in rows.sum(axis=1)]),
        ModelSignature(NUMBERS),
    ),
    "named_outputs": (
        Answer(lambda rows: {"total": rows.sum(axis=1).tolist(), "rows": len(rows)}),
        ModelSignature(NUMBERS),
    ),
    "nan": (
        Answer(lambda rows: np.array([[float("nan"), float("inf")]] * len(rows))),
        ModelSignature(NUMBERS),
    ),
    "failing": (Failing(), ModelSignature(NUMBERS)),
    "unwritable": (Answer(lambda rows: [object()] * len(rows)), ModelSignature(NUMBERS)),
    # one value, however many rows there are
    "wrong_count": (Answer(lambda rows: np.array([float(len(rows))])), ModelSignature(NUMBERS)),
    "no_signature": (Echo(), None),
    "scalars": (Echo(), ModelSignature(
        columns(a="double", b="float", c="long", d="integer", e="boolean", f="string"))),
    "optional": (Echo(), ModelSignature(columns(a="double", b_="double", f_="string"))),
    "datetime": (
        Answer(lambda rows: pd.DataFrame(
            {"day": rows["when"], "when": [dt.date(2026, 1, 2)] * len(rows)})),
        ModelSignature(columns(when="datetime")),
    ),
    "binary": (Echo(), ModelSignature(columns(blob="binary"))),
    "integers": (Echo(), ModelSignature(columns(a="long", b_="long"))),
    "array_column": (Echo(), ModelSignature(columns(a=Array("double")))),
    "object_column": (Echo(), ModelSignature(columns(a=POINT))),
    "nested": (Echo(), ModelSignature(columns(a=Array(TAGGED)))),
    "map_column": (Echo(), ModelSignature(columns(a=Map("long")))),
    "unnamed": (Echo(), ModelSignature(Schema([ColSpec("double"), ColSpec("double")]))),
    "tensor": (Echo(), ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, 2))]))),
    "named_tensors": (
        Echo(),
        ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2), "x"),
                               TensorSpec(np.dtype("int64"), (-1,), "y")])),
    ),
    "params": (
        Scaled(),
        ModelSignature(NUMBERS, params=ParamSchema([ParamSpec("factor", "double", 2.0)])),
    ),
    "type_hints": (Hinted(), None),
    "chat": (
        Answer(lambda rows: {"seen": sorted(rows) if isinstance(rows, dict) else len(rows)}), None
    ),
}  # fmt: skip


def fitted() -> dict[str, tuple[Any, Any]]:
    """scikit-learn models and the features they learned from."""
    table = pd.DataFrame({"a": [0.0, 1, 2, 3], "b": [1.0, 0, 2, 1], "c": list("xyxy")})
    numbers, target = table[["a", "b"]], [0, 1, 0, 1]
    coded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["c"]), remainder="passthrough"
    )
    text = pd.DataFrame({"text": ["good", "bad day", "good day", "bad"]})
    words = make_column_transformer((TfidfVectorizer(), "text"))
    vectors = pd.DataFrame({"a": numbers.to_numpy().tolist()})
    stacked = make_column_transformer((FunctionTransformer(np.stack), "a"))
    return {
        "labels": (make_pipeline(coded, LogisticRegression()).fit(table, target), table),
        "names": (
            make_pipeline(coded, LogisticRegression()).fit(table, ["no", "yes", "no", "yes"]),
            table,
        ),
        "regression": (LinearRegression().fit(numbers, target), numbers),
        "bare": (LinearRegression().fit(numbers, target), None),
        "arrays": (LinearRegression().fit(numbers.to_numpy(), target), numbers.to_numpy()),
        "embedding": (make_pipeline(stacked, LinearRegression()).fit(vectors, target), vectors),
        "text": (make_pipeline(words, LogisticRegression()).fit(text, target), text),
    }


TRUSTED = ["numpy.dtype", "numpy.stack", "scipy.sparse._csr.csr_matrix"]


def main(directory: Path) -> None:
    """Save every model into a directory of its own."""
    for name, (model, signature) in PYTHON.items():
        mlflow.pyfunc.save_model(
            directory / name, python_model=model, signature=signature, pip_requirements=[]
        )
    for name, (model, features) in fitted().items():
        known = features is not None
        for method in ("predict", "predict_proba") if name == "labels" else ("predict",):
            mlflow.sklearn.save_model(
                model, directory / f"{name}_{method}",
                signature=infer_signature(features, model.predict(features)) if known else None,
                pyfunc_predict_fn=method, pip_requirements=[], skops_trusted_types=TRUSTED,
            )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
