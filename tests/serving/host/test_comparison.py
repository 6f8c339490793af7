"""The host of a shadow compares its answers with production's, in every protocol."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, Schema

from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.host.parsing.column_decoder import compile_decoder
from cloche.serving.host.scoring import HostScorer
from cloche.serving.processes.frames import (
    DIFFERS,
    MODEL_FAILED,
    NOT_FINITE,
    Answer,
    Expected,
    Item,
)

JSON = "application/json"
SIGNATURE = ModelSignature(Schema([ColSpec("double", "a")]))
TENSOR = {"name": "a", "datatype": "FP64", "shape": [3], "data": [1.0, 2.0, 3.0]}
ROWS = [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}]


class Returns:
    """Answers a label, a whole number and a number for each row, each in a column."""

    def __init__(self, **columns: list[Any]) -> None:
        usual = {"label": ["x", "y", "z"], "count": [1, 2, 3], "p": [0.1, 0.2, 0.3]}
        self._columns = usual | columns

    def predict(self, rows: Any) -> Any:
        if "fail" in self._columns:
            raise ValueError("no")
        return pd.DataFrame(self._columns).iloc[: len(rows)]


def scorer(version: str, **columns: list[Any]) -> HostScorer:
    model = PyFuncModel(Model(signature=SIGNATURE), Returns(**columns))
    return HostScorer(model, compile_decoder(model.metadata), None, name="m", version=version)


def grpc_item(*, raw: bool) -> Item:
    request = message("ModelInferRequest")(model_name="m")
    tensor = request.inputs.add(name="a", datatype="FP64", shape=[3])
    if raw:
        request.raw_input_contents.append(np.array([1.0, 2.0, 3.0]).tobytes())
    else:
        tensor.contents.fp64_contents.extend([1.0, 2.0, 3.0])
    return Item("", request.SerializeToString(), "", "open_inference_grpc")


def json_item(protocol: str, body: Any) -> Item:
    return Item(JSON, json.dumps(body).encode(), "", protocol)


ITEMS = {
    "mlflow": json_item("mlflow", {"dataframe_records": ROWS}),
    "mlflow in CSV": Item("text/csv", b"a\n1\n2\n3\n"),
    "V1 by row": json_item("tf_serving", {"instances": ROWS}),
    "V1 by column": json_item("tf_serving", {"inputs": {"a": [1.0, 2.0, 3.0]}}),
    "TorchServe": json_item("torchserve", {"dataframe_records": ROWS}),
    "V2": json_item("open_inference", {"id": "7", "inputs": [TENSOR]}),
    "V2 with binary outputs": json_item(
        "open_inference", {"inputs": [TENSOR], "parameters": {"binary_data_output": True}}
    ),
    "gRPC": grpc_item(raw=False),
    "gRPC, raw": grpc_item(raw=True),
}


def compare(item: Item, shadow: HostScorer, production: HostScorer, tolerance: float = 1e-6) -> Any:
    """What the shadow's host tells of its answer beside production's."""
    (first,) = production.score([item]).answers
    assert first.status == 200
    expected = Expected(first.body, first.json_size, tolerance)
    (answer,) = shadow.score([item._replace(mark_failures=True, expected=expected)]).answers
    return answer


@pytest.mark.parametrize("protocol", ITEMS)
def test_another_version_that_answers_alike_agrees_up_to_the_tolerance(protocol: str) -> None:
    item, production = ITEMS[protocol], scorer("1")
    assert compare(item, scorer("2"), production) == Answer(200, 0, 3, b"")
    nearly = scorer("2", p=[0.1, 0.2 * (1 + 1e-8), 0.3])
    assert compare(item, nearly, production).body_type == 0
    assert compare(item, nearly, production, tolerance=0.0).body_type == DIFFERS


@pytest.mark.parametrize("protocol", ITEMS)
@pytest.mark.parametrize(
    "other",
    [
        {"p": [0.1, 0.2001, 0.3]}, {"label": ["x", "y", "w"]}, {"count": [1, 2, 4]},
        {"more": [1, 2, 3]},
    ],
)  # fmt: skip
def test_other_labels_numbers_and_columns_differ(protocol: str, other: dict[str, Any]) -> None:
    answer = compare(ITEMS[protocol], scorer("2", **other), scorer("1"))
    assert answer == Answer(200, DIFFERS, 3, b"")


def test_whole_numbers_are_labels_however_large() -> None:
    one, other = ([2**40 + extra, 2, 3] for extra in (0, 1))
    for item in ITEMS.values():
        answer = compare(item, scorer("2", count=one), scorer("1", count=other))
        assert answer.body_type == DIFFERS


@pytest.mark.parametrize("protocol", ["mlflow", "V2", "V2 with binary outputs", "gRPC, raw"])
def test_gaps_agree_with_gaps_and_count_as_failures_where_production_has_none(
    protocol: str,
) -> None:
    gaps = {"p": [0.1, math.nan, math.inf]}
    item = ITEMS[protocol]
    assert compare(item, scorer("2", **gaps), scorer("1", **gaps)).body_type == 0
    answer = compare(item, scorer("2", **gaps), scorer("1"))
    assert answer.body_type == NOT_FINITE | DIFFERS


def test_a_failure_is_one_and_what_cannot_be_read_differs() -> None:
    item = ITEMS["mlflow"]
    answer = compare(item, scorer("2", fail=[]), scorer("1"))
    assert (answer.status, answer.body_type) == (400, MODEL_FAILED)
    strange = item._replace(mark_failures=True, expected=Expected(b"\xff", 0, 1e-6))
    mixed = scorer("2").score([item, strange]).answers
    assert [one.body_type for one in mixed] == [0, DIFFERS]
    assert json.loads(mixed[0].body)["predictions"][0]["label"] == "x"
