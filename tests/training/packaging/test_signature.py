"""Callers see names, types, and which columns may be left out."""

import numpy as np
import pandas as pd

from cloche.training.packaging.signature import make_signature, model_inputs
from cloche.training.recipe.sections import Columns

COLUMNS = Columns(
    numeric=("seats", "late", "delay"),
    categorical=("gate", "zone", "code"),
    text=("note",),
    datetime=("at",),
)


def frame() -> pd.DataFrame:
    """Three rows as a CSV reader leaves them."""
    return pd.DataFrame(
        {
            "seats": [1, 2, 3],
            "late": [True, False, True],
            "delay": pd.array([1, None, 2], dtype="Int64"),
            "gate": [7.0, np.nan, 8.0],
            "zone": [1, 2, 3],
            "code": ["a", 5, None],
            "note": ["x", "y", None],
            "at": ["2024-01-01", "2024-01-02", "2024-01-03"],
        }
    )


def test_inputs_are_typed_by_role_and_optional_where_training_saw_gaps():
    inputs = model_inputs(frame(), COLUMNS)

    schema = make_signature(inputs, pd.DataFrame({"prediction": [0, 1, 0]})).inputs

    assert {c.name: (c.type.name, c.required) for c in schema.inputs} == {
        "seats": ("long", True),
        "late": ("boolean", True),
        "delay": ("double", False),
        "gate": ("string", False),
        "zone": ("long", True),
        "code": ("string", False),
        "note": ("string", False),
        "at": ("datetime", True),
    }


def test_whole_numbers_that_were_floats_only_for_a_gap_read_as_whole_numbers():
    assert model_inputs(frame(), COLUMNS)["gate"].tolist()[0] == "7"


def test_outputs_are_named():
    outputs = pd.DataFrame({"prediction": ["a", "b"], "probability": [0.1, 0.9]})

    schema = make_signature(model_inputs(frame(), COLUMNS), outputs).outputs

    assert [(c.name, c.type.name) for c in schema.inputs] == [
        ("prediction", "string"),
        ("probability", "double"),
    ]
