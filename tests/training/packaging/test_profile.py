"""The reference profile counts every row once, and gives no text away."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.training.packaging.profile import MOST_FREQUENT, numeric_distribution, profile
from cloche.training.recipe.sections import Columns

COLUMNS = Columns(numeric=("size",), categorical=("town",), text=("remark",), datetime=("at",))


@pytest.fixture
def rows() -> pd.DataFrame:
    """100 rows, some values missing in each column."""
    return pd.DataFrame(
        {
            "size": [np.nan, *range(99)],
            "town": [None, *(f"town {i % 70}" for i in range(99))],
            "remark": [None, *["my telephone number is secret"] * 99],
            "at": pd.date_range("2024-01-01", periods=100),
        }
    )


def test_the_profile_is_plain_json_and_names_each_column_with_its_role(rows):
    output = pd.DataFrame({"prediction": [0, 1] * 50, "probability": np.linspace(0, 1, 100)})

    described = json.loads(json.dumps(profile(rows, COLUMNS, output), allow_nan=False))

    assert described["rows"] == 100
    assert {name: column["role"] for name, column in described["columns"].items()} == {
        "size": "numeric", "town": "categorical", "remark": "text", "at": "datetime",
    }  # fmt: skip
    assert described["scores"]["prediction"]["counts"] == {"0": 50, "1": 50}
    assert sum(described["scores"]["probability"]["counts"]) == 100


def test_categories_beyond_the_most_frequent_are_counted_together(rows):
    town = profile(rows, COLUMNS, pd.DataFrame())["columns"]["town"]
    assert len(town["counts"]) == MOST_FREQUENT
    assert sum(town["counts"].values()) + town["other"] + town["missing"] == len(rows)


def test_no_word_of_a_text_is_kept(rows):
    assert "telephone" not in json.dumps(profile(rows, COLUMNS, pd.DataFrame()))


@given(st.lists(st.none() | st.floats(allow_nan=False, width=32), max_size=60))
def test_every_number_is_in_one_bin_or_counted_as_missing(values):
    described = numeric_distribution(pd.Series(values, dtype="float64"))
    assert sum(described.get("counts", [])) + described["missing"] == len(values)
    json.dumps(described, allow_nan=False)
