"""Tables for models of tensors: of their type where no value changes, and else left alone."""

import re

import numpy as np
import pandas as pd
import pytest
from mlflow.models.utils import _enforce_schema
from mlflow.types import ColSpec, Schema, TensorSpec

from cloche.values.tensors import UnfitTable, joint_tensor, model_input, slice_rows


def schema(kind: str, *names: str | None, shape: tuple[int, ...] = (-1, 2)) -> Schema:
    return Schema([TensorSpec(np.dtype(kind), shape, name) for name in names or (None,)])


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([0.1, 2.0], "float32", "float32"), ([1, 2], "float32", "float32"),
        ([1, 2], "int32", "int32"), ([1, 2**40], "int32", "int64"),
        ([1.5, 2.0], "int64", "float64"), (["x", "y"], "float32", "str"),
    ],
)  # fmt: skip
def test_numbers_get_the_type_of_the_tensor_if_it_can_hold_them(values, kind, found):
    frame = model_input(pd.DataFrame({"a": values}), schema(kind))
    assert isinstance(frame, pd.DataFrame)
    assert str(frame["a"].dtype) == found


def test_arrays_become_lists_to_which_mlflow_gives_the_type() -> None:
    frame = model_input(
        pd.DataFrame({"image": [np.zeros(2), np.ones(2)]}), schema("float32", "image")
    )
    assert isinstance(frame, pd.DataFrame)
    assert frame["image"].tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_columns_that_no_tensor_names_stay_as_they_are() -> None:
    frame = model_input(pd.DataFrame({"x": [1.0], "id": [1.0]}), schema("float32", "x"))
    assert isinstance(frame, pd.DataFrame)
    assert frame.dtypes.astype(str).tolist() == ["float32", "float64"]


@pytest.mark.parametrize("shape", [(-1, 2), (-1, -1)])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "object"])
def test_the_columns_of_a_table_make_the_one_tensor_that_has_a_name(kind, shape):
    values = [["a", "b"], ["c", "d"]] if kind == "object" else [[1, 2], [3, 4]]
    frame = pd.DataFrame(values, columns=["a", "b"]).astype(object if kind == "object" else "int64")
    inputs = schema(kind, "X", shape=shape)

    found = model_input(frame, inputs)

    assert isinstance(found, dict)
    assert found["X"].tolist() == values
    enforced = _enforce_schema(found, inputs)["X"]  # MLflow takes it as it is
    assert enforced.dtype == np.dtype(kind)
    single = slice_rows(found, slice(1, 2))
    assert isinstance(single, dict)
    assert single["X"].tolist() == values[1:]


def test_a_tensor_of_one_dimension_is_made_of_one_column() -> None:
    found = model_input(pd.DataFrame({"a": [1.0, 2.0]}), schema("float64", "X", shape=(-1,)))
    assert isinstance(found, dict)
    assert found["X"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("names", "shape", "said"),
    [
        (("X",), (-1, 3), "the model's input 'X' takes 3 values a row, and there are 2: a, b"),
        ((None,), (-1, 3), "the model's input takes 3 values a row, and there are 2: a, b"),
        (("X",), (-1,), "takes 1 values a row"),
        (("X",), (-1, 2, 2), "which columns of a table cannot make"),
    ],
)
def test_columns_that_do_not_make_the_tensor_are_named_with_what_it_takes(names, shape, said):
    with pytest.raises(UnfitTable, match=said):
        model_input(pd.DataFrame({"a": [1.0], "b": [2.0]}), schema("float64", *names, shape=shape))


@pytest.mark.parametrize("name", ["X", None])
def test_the_column_that_is_advised_makes_a_tensor_of_more_dimensions(name: str | None) -> None:
    inputs = schema("float64", name, shape=(-1, 2, 2))
    with pytest.raises(UnfitTable) as unfit:
        model_input(pd.DataFrame({"a": [1.0], "b": [2.0]}), inputs)
    advised = re.search(r"give it (?:a column '(\w+)'|one column) of flat lists", str(unfit.value))
    assert advised is not None
    column = pd.DataFrame({advised[1] or "pixels": [[1.0, 2.0, 3.0, 4.0]]})
    enforced = _enforce_schema(model_input(column, inputs), inputs)
    assert np.shape(enforced["X"] if name else enforced) == (1, 2, 2)


@pytest.mark.parametrize(
    "inputs",
    [None, Schema([ColSpec("double", "a")]), schema("float64", "X", "Y"), schema("float64", "a")],
)
def test_no_other_signature_is_one_tensor_of_all_columns(inputs: Schema | None) -> None:
    assert joint_tensor(inputs, ["a", "b"]) is None
