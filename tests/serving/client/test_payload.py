"""How rows are written."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from cloche.serving.client.payload import body
from cloche.serving.client.prediction import Prediction

SENT: dict[str, tuple[object, dict[str, object]]] = {
    "a frame, by columns and rows": (
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[7, 9]),
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}},
    ),
    "a number, with all its digits": (
        pd.DataFrame({"a": [0.1 + 0.2]}),
        {"dataframe_split": {"columns": ["a"], "data": [[0.1 + 0.2]]}},
    ),
    "a time, by ISO 8601": (
        pd.DataFrame({"a": [pd.Timestamp("2026-01-02 03:04:05.000006")]}),
        {"dataframe_split": {"columns": ["a"], "data": [["2026-01-02T03:04:05.000006"]]}},
    ),
    "records": ([{"a": np.float32(1.5)}], {"dataframe_records": [{"a": 1.5}]}),
    "arrays": (np.eye(2), {"inputs": [[1.0, 0.0], [0.0, 1.0]]}),
    "columns by name": ({"a": [1, 2]}, {"inputs": {"a": [1, 2]}}),
    "a payload, as it is": ({"instances": [1]}, {"instances": [1]}),
    "decimals": ([{"a": Decimal("1.5")}], {"dataframe_records": [{"a": 1.5}]}),
    "bytes": ([{"a": b"ab"}], {"dataframe_records": [{"a": "YWI="}]}),
    "a moment": (
        [{"a": datetime(2026, 1, 2, tzinfo=UTC)}],
        {"dataframe_records": [{"a": "2026-01-02T00:00:00+00:00"}]},
    ),
}


@pytest.mark.parametrize("kind", SENT)
def test_rows_are_sent_as_mlflow_reads_them(kind):
    rows, document = SENT[kind]
    assert json.loads(body(rows, None)) == document
    assert json.loads(body(rows, {"n": 2})) == document | {"params": {"n": 2}}


def test_what_cannot_be_sent_is_named():
    with pytest.raises(TypeError, match="A set cannot be sent"):
        body([{"a": {1}}], None)


@pytest.mark.parametrize(
    "column",
    [
        [1.5, np.nan],
        pd.array([1, None], dtype="Int64"),
        pd.to_datetime(["2026-01-01", None]),
        pd.Categorical(["x", None]),
    ],
)
def test_what_is_missing_is_null(column):
    text = body(pd.DataFrame({"a": column}), None)
    assert json.loads(text, parse_constant=pytest.fail)["dataframe_split"]["data"][1] == [None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], pd.DataFrame({"prediction": [1, 2]})),
        ([{"a": 1}, {"a": 2}], pd.DataFrame({"a": [1, 2]})),
        ([[1, 2], [3, 4]], pd.DataFrame([[1, 2], [3, 4]])),
    ],
)
def test_predictions_become_a_frame_with_the_index_of_the_rows(values, expected):
    index = pd.Index(["x", "y"])
    found = Prediction(values, "m", "1", "id", index=index).frame()
    pd.testing.assert_frame_equal(found, expected.set_index(index))
