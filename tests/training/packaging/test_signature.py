"""Callers see names, types, and which columns may be left out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import infer_signature

from cloche.training.packaging.signature import deciding_rows, make_signature, model_inputs
from cloche.training.recipe.sections import Columns

COLUMNS = Columns(
    numeric=("seats", "late", "delay"), categorical=("gate", "zone", "code"), text=("note",),
    datetime=("at",),
)  # fmt: skip


def frame() -> pd.DataFrame:
    """Three rows as a CSV reader leaves them."""
    return pd.DataFrame(
        {
            "seats": [1, 2, 3], "late": [True, False, True],
            "delay": pd.array([1, None, 2], dtype="Int64"), "gate": [7.0, np.nan, 8.0],
            "zone": [1, 2, 3], "code": ["a", 5, None], "note": ["x", "y", None],
            "at": ["2024-01-01", "2024-01-02", "2024-01-03"],
        }
    )  # fmt: skip


def test_inputs_are_typed_by_role_and_optional_where_training_saw_gaps():
    inputs = model_inputs(frame(), COLUMNS)

    schema = make_signature(inputs, pd.DataFrame({"prediction": [0, 1, 0]})).inputs

    assert {c.name: (c.type.name, c.required) for c in schema.inputs} == {
        "seats": ("long", True), "late": ("boolean", True), "delay": ("double", False),
        "gate": ("string", False), "zone": ("long", True), "code": ("string", False),
        "note": ("string", False), "at": ("datetime", True),
    }  # fmt: skip


def test_whole_numbers_that_were_floats_only_for_a_gap_read_as_whole_numbers():
    assert model_inputs(frame(), COLUMNS)["gate"].tolist()[0] == "7"


def test_outputs_are_named():
    outputs = pd.DataFrame({"prediction": ["a", "b"], "probability": [0.1, 0.9]})

    schema = make_signature(model_inputs(frame(), COLUMNS), outputs).outputs

    assert [(c.name, c.type.name) for c in schema.inputs] == [
        ("prediction", "string"),
        ("probability", "double"),
    ]


COLUMN_TYPES = {
    "float64": st.floats() | st.none(),
    "Int64": st.integers(-9, 9) | st.none(),
    "int64": st.integers(-9, 9),
    "bool": st.booleans(),
    "str": st.text(max_size=2) | st.none(),
    "datetime64[ns]": st.datetimes(pd.Timestamp(2000, 1, 1), pd.Timestamp(2030, 1, 1)) | st.none(),
    "object": st.lists(st.text(max_size=1), max_size=2) | st.none(),
}


@pytest.mark.filterwarnings("ignore:.*integer column:UserWarning")
@given(st.data(), st.integers(1, 6))
def test_the_deciding_rows_have_the_schema_of_all_rows(data: st.DataObject, count: int):
    types = data.draw(st.lists(st.sampled_from(list(COLUMN_TYPES)), min_size=1, max_size=4))
    table = pd.DataFrame(
        {
            f"{at}": pd.Series(
                data.draw(st.lists(COLUMN_TYPES[name], min_size=count, max_size=count)), dtype=name
            )
            for at, name in enumerate(types)
        }
    )

    def outcome(frame: pd.DataFrame) -> object:
        try:
            return infer_signature(frame).inputs
        except Exception as error:  # noqa: BLE001 (whatever all rows lead to)
            return type(error)

    assert outcome(deciding_rows(table)) == outcome(table)


def test_few_rows_decide():
    table = pd.DataFrame({"a": np.arange(1000.0), "b": ["x"] * 999 + [None]})
    assert deciding_rows(table).index.tolist() == [0, 999]
