"""Rows reach the process of a stage as they were, and its errors the chain."""

import errno
import json
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.exceptions import MlflowException

from cloche.processes.machine_limits import exhausted_resource
from cloche.serving.host.answers.error_answers import InvalidCell, RequestRefused
from cloche.serving.host.answers.error_origin import raised_by_model
from cloche.serving.host.chain.messages import (
    error_message,
    read_rows,
    rebuilt_error,
    rows_message,
)


def sent(rows: Any) -> Any:
    message = pickle.dumps(rows_message(rows), protocol=5)
    return read_rows(pickle.loads(message))  # noqa: S301


COLUMNS: dict[str, Any] = {
    "numbers": [1.5, float("nan")],
    "exact": pd.Series([2**60 + 1, None], dtype=object),
    "nullable": pd.Series([2**60 + 1, None], dtype="Int64"),
    "flags": pd.Series([True, None], dtype=object),
    "small": np.int32([1, 2]),
    "texts": ["a", "b"],
    "lists": [[1, 2], [3]],
    "dicts": [{"k": 1.5}, {"j": "x"}],
    "mixed": pd.Series(["1", 2], dtype=object),
    "bytes": [b"\0", b"a"],
    "times": pd.to_datetime(["2013-01-01", None]),
    "kinds": pd.Series(["a", "b"], dtype="category"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_arrives_as_it_was(name: str) -> None:
    rows = pd.DataFrame({name: COLUMNS[name]})
    pd.testing.assert_frame_equal(sent(rows), rows)


def test_columns_keep_their_order_and_their_names() -> None:
    rows = pd.DataFrame([[1, [2], "x", 3.0], [4, [5], "y", 6.0]], columns=["b", "a", 7, "b"])
    pd.testing.assert_frame_equal(sent(rows), rows, check_column_type=False)


def test_rows_without_columns_are_arrays_or_a_table() -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(sent({"x": array})["x"], array)
    assert sent(pa.table({"b": [1, 2]})) == pa.table({"b": [1, 2]})


def failed(error: Exception) -> Exception:
    """The error as it comes from the process of a stage."""
    return rebuilt_error(json.loads(json.dumps(error_message(error))))


def test_an_error_of_a_stage_has_its_name_and_text() -> None:
    class StoreError(Exception):
        """One that no other process knows."""

    for error in (StoreError("no such feature"), KeyError("a"), UnicodeError("x")):
        rebuilt = failed(error)
        assert (type(rebuilt).__name__, str(rebuilt)) == (type(error).__name__, str(error))
        assert raised_by_model(rebuilt)


def test_what_is_done_about_an_error_is_done_about_one_of_a_stage() -> None:
    assert isinstance(failed(RequestRefused("no table")), RequestRefused)
    assert isinstance(failed(MemoryError("4 GiB")), MemoryError)
    assert exhausted_resource(failed(OSError(errno.ENOSPC, "disk full"))).startswith("room")
    assert isinstance(failed(ModuleNotFoundError("No module named 'feast'")), ImportError)


def test_a_row_that_does_not_fit_the_signature_is_told_from_one_that_the_code_refuses() -> None:
    unfit = failed(MlflowException("Incompatible input types"))
    assert not raised_by_model(unfit)
    assert unfit.message == "Incompatible input types"
    cell = failed(InvalidCell("b", 0, "double", "a text"))
    assert (not raised_by_model(cell), str(cell)) == (True, "column 'b': expected 'double'")
