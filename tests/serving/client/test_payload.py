"""How rows are written."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from cloche.serving.client.payload import body
from cloche.serving.client.prediction import Prediction


def sent(rows, params=None):
    return json.loads(body(rows, params))


def test_a_frame_is_sent_by_columns_and_rows():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[7, 9])

    assert sent(frame) == {
        "dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}
    }


def test_a_number_is_sent_with_all_its_digits():
    number = 0.1 + 0.2

    assert sent(pd.DataFrame({"a": [number]}))["dataframe_split"]["data"] == [[number]]


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
    text = body(pd.DataFrame({"a": column}))

    assert json.loads(text, parse_constant=pytest.fail)["dataframe_split"]["data"][1] == [None]


def test_times_are_written_as_iso_8601():
    frame = pd.DataFrame({"a": [pd.Timestamp("2026-01-02 03:04:05.000006")]})

    assert sent(frame)["dataframe_split"]["data"] == [["2026-01-02T03:04:05.000006"]]


def test_records_are_records():
    assert sent([{"a": np.float32(1.5)}]) == {"dataframe_records": [{"a": 1.5}]}


def test_arrays_are_inputs():
    assert sent(np.eye(2)) == {"inputs": [[1.0, 0.0], [0.0, 1.0]]}


def test_columns_by_name_are_inputs():
    assert sent({"a": [1, 2]}) == {"inputs": {"a": [1, 2]}}


def test_a_payload_is_sent_as_it_is():
    assert sent({"instances": [1]}, {"n": 2}) == {"instances": [1], "params": {"n": 2}}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("1.5"), 1.5),
        (b"ab", "YWI="),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    ],
)
def test_values_that_json_has_no_word_for_are_written_as_mlflow_reads_them(value, written):
    assert sent([{"a": value}]) == {"dataframe_records": [{"a": written}]}


def test_what_cannot_be_sent_is_named():
    with pytest.raises(TypeError, match="A set cannot be sent"):
        body([{"a": {1}}])


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
