"""A model with a twin that the tests make themselves, and how it is asked."""

import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from onnx import TensorProto, helper
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from cloche.serving.processes.frames import Item, Result
from tests.shelf import shelf

NAMES = ["dose", "age", "word"]
TOLERANCE = 1e-6


class Scores(Protocol):
    """Whatever answers items."""

    def score(self, items: Sequence[Item]) -> Result:
        """One answer for each."""


@functools.cache
def fitted() -> Pipeline:
    """A model of two numbers and a word; it is not to be changed."""
    random = np.random.default_rng(1)
    numbers = {"dose": random.normal(size=300), "age": random.integers(1, 90, 300)}
    table = pd.DataFrame({**numbers, "word": random.choice(["red", "green", "blue"], 300)})
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["word"]), remainder="passthrough"
    )
    target = np.where(table.dose + table.age / 50 + (table.word == "red") > 1, "yes", "no")
    return make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(table, target)


@functools.cache
def _saved(pipeline: Pipeline) -> Path:
    """The model alone, to be copied."""
    example = pd.DataFrame({"dose": [0.5, -0.5], "age": [30, 60], "word": ["red", "blue"]})
    kinds = ["double", "long", "string"]
    inputs = Schema([ColSpec(kind, name) for kind, name in zip(kinds, NAMES, strict=True)])
    path = Path(tempfile.mkdtemp(dir=shelf())) / "model"
    mlflow.sklearn.save_model(
        pipeline, path, signature=ModelSignature(inputs), input_example=example, pip_requirements=[]
    )
    return path


def graph_of(pipeline: Pipeline, numbers: int) -> bytes:
    """The same arithmetic as an ONNX graph with inputs of the tensor type `numbers`."""
    encoder, regression = pipeline
    weights = regression.coef_[0]
    words = list(encoder.named_transformers_["onehotencoder"].categories_[0])

    def constant(name: str, value: float) -> Any:
        return helper.make_tensor(name, numbers, [1], [float(value)])

    node = helper.make_node
    nodes = [
        node("LabelEncoder", ["word"], ["single"], domain="ai.onnx.ml", keys_strings=words,
             values_floats=[float(weight) for weight in weights[:3]], default_float=0.0),
        node("Cast", ["single"], ["z0"], to=numbers),
        node("Mul", ["dose", "per_dose"], ["z1"]),
        node("Mul", ["age", "per_age"], ["z2"]),
        node("Add", ["z0", "z1"], ["z3"]),
        node("Add", ["z2", "z3"], ["z4"]),
        node("Add", ["z4", "intercept"], ["z"]),
        node("Sigmoid", ["z"], ["yes"]),
        node("Sub", ["one", "yes"], ["no"]),
        node("Concat", ["no", "yes"], ["probabilities"], axis=1),
    ]  # fmt: skip
    inputs = [("dose", numbers), ("age", numbers), ("word", TensorProto.STRING)]
    graph = helper.make_graph(
        nodes,
        "twin",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in inputs],
        [helper.make_tensor_value_info("probabilities", numbers, [None, 2])],
        [
            constant("per_dose", weights[3]),
            constant("per_age", weights[4]),
            constant("intercept", regression.intercept_[0]),
            constant("one", 1.0),
        ],
    )
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9).SerializeToString()


def save(pipeline: Pipeline, path: Path, numbers: str = "double", **changes: Any) -> Path:
    """The model and its twin at `path`; `changes` go into the twin's description."""
    shutil.copytree(_saved(pipeline), path)
    graph = graph_of(pipeline, {"double": TensorProto.DOUBLE, "float": TensorProto.FLOAT}[numbers])
    description = {
        "format": 1,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "inputs": [
            {"name": "dose", "column": "dose", "tensor": numbers},
            {"name": "age", "column": "age", "tensor": numbers},
            {"name": "word", "column": "word", "tensor": "string", "missing": None},
        ],
        "scores": {"output": "probabilities", "kind": "probabilities"},
        "classes": list(pipeline.classes_),
        "positive": 1,
        "threshold": 0.5,
        "answer": {"array": "label"},
        "tolerance": TOLERANCE,
    }
    (path / "onnx").mkdir()
    (path / "onnx" / "model.onnx").write_bytes(graph)
    (path / "onnx" / "twin.json").write_text(json.dumps(description | changes))
    return path


def ask(scorer: Scores, *tables: list[list[Any]]) -> Result:
    bodies = [{"dataframe_split": {"columns": NAMES, "data": rows}} for rows in tables]
    items = [Item("application/json", json.dumps(body).encode()) for body in bodies]
    return scorer.score(items)


def at_the_threshold(pipeline: Pipeline, nudge: float) -> list[Any]:
    """A row whose probability is 0.5, but for `nudge`."""
    row = pd.DataFrame({"dose": [0.0], "age": [30], "word": ["green"]})
    slope = pipeline[-1].coef_[0][-2]
    return [float((nudge * 4 - pipeline.decision_function(row)[0]) / slope), 30, "green"]
