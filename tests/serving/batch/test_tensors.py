"""Tables for models of tensors: given their type where no value changes, and else left alone."""

import numpy as np
import pandas as pd
import pytest
from mlflow.types import Schema, TensorSpec

from cloche.serving.batch.tensors import cast


def schema(kind: str, *names: str | None) -> Schema:
    return Schema([TensorSpec(np.dtype(kind), (-1, 2), name) for name in names or (None,)])


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([0.1, 2.0], "float32", "float32"),
        ([1, 2], "float32", "float32"),
        ([1, 2], "int32", "int32"),
        ([1, 2**40], "int32", "int64"),
        ([1.5, 2.0], "int64", "float64"),
        (["x", "y"], "float32", "str"),
    ],
)
def test_numbers_get_the_type_of_the_tensor_if_it_can_hold_them(
    values: list[object], kind: str, found: str
) -> None:
    assert str(cast(pd.DataFrame({"a": values}), schema(kind))["a"].dtype) == found


def test_arrays_become_lists_to_which_mlflow_gives_the_type() -> None:
    frame = pd.DataFrame({"image": [np.zeros(2), np.ones(2)]})
    assert cast(frame, schema("float32", "image"))["image"].tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_columns_that_no_tensor_names_stay_as_they_are() -> None:
    frame = pd.DataFrame({"x": [1.0], "id": [1.0]})
    assert cast(frame, schema("float32", "x")).dtypes.astype(str).tolist() == ["float32", "float64"]
