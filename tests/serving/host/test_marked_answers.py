"""Answers that are failures of a version are marked where the front asks, whatever the status."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema

from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import JSON_BODY, MODEL_FAILED, NOT_FINITE, Item

SIGNATURE = ModelSignature(Schema([ColSpec("double", "a")]))
SHAPES = {
    "array": np.array,
    "list": list,
    "nested lists": lambda values: [[value, 1] for value in values],
    "records": lambda values: [{"p": value} for value in values],
    "series": pd.Series,
    "data frame": lambda values: pd.DataFrame({"label": "NaN", "p": values}),
    "numbers among texts": lambda values: pd.DataFrame({"p": ["x", *values][1:]}, dtype=object),
}


class Returns:
    """Answers the inputs in a shape, and raises an error for negative ones."""

    def __init__(self, shape: Any) -> None:
        self._shape = shape

    def predict(self, rows: Any) -> Any:
        if (rows["a"] < 0).any():
            raise ValueError("negative")
        return self._shape(rows["a"].tolist())


def item(value: float, kind: str = "application/json", *, marks: bool = True) -> Item:
    text = json.dumps({"dataframe_records": [{"a": value}]})
    if kind == "text/csv":
        text = f"a\n{value}\n"
    return Item(kind, text.encode(), mark_failures=marks)


def scorer(shape: Any) -> HostScorer:
    model = PyFuncModel(Model(signature=SIGNATURE), Returns(shape))
    return HostScorer(model, compile_decoder(model.metadata), None)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_only_answers_with_such_numbers_are_marked(shape: str, bad: float) -> None:
    joined = scorer(SHAPES[shape]).score([item(1.0), item(bad), item(bad, marks=False)]).answers
    alone = scorer(SHAPES[shape]).score([item(1.0, "text/csv"), item(bad, "text/csv")]).answers
    assert [one.status for one in (*joined, *alone)] == [200] * 5
    assert [one.body_type for one in joined] == [JSON_BODY, NOT_FINITE, JSON_BODY]
    assert [one.body_type for one in alone] == [JSON_BODY, NOT_FINITE]


def test_an_error_of_the_model_is_marked_and_a_mistake_of_the_client_is_not() -> None:
    bad = Item("application/json", b"{}", mark_failures=True)
    answers = scorer(list).score([item(-1.0), item(-1.0, marks=False), bad]).answers
    assert [one.status for one in answers] == [400] * 3
    assert [one.body_type for one in answers] == [MODEL_FAILED, JSON_BODY, JSON_BODY]
