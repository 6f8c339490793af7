"""Small recipes and tables for pipelines."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloche.training.recipe.schema import Recipe


@pytest.fixture
def table() -> pd.DataFrame:
    """200 rows with a column of each role, gaps, and a target that depends on them."""
    random = np.random.default_rng(0)
    size = random.normal(size=200)
    colour = random.choice(["red", "green", "blue"], 200)
    return pd.DataFrame(
        {
            "size": np.where(random.random(200) < 0.1, np.nan, size),
            "colour": pd.Series(np.where(random.random(200) < 0.1, None, colour), dtype="str"),
            "remark": random.choice(["all is well", "nothing works here", ""], 200),
            "moment": pd.date_range("2024-01-01", periods=200, freq="h"),
            "broken": ((size > 0) & (colour != "red")).astype(int),
        }
    )


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    """Give a function that makes a recipe for `table`, with changes by keyword."""

    def make(**changes: Any) -> Recipe:
        values = {
            "name": "widgets",
            "task": "binary",
            "data": {"source": "widgets.csv"},
            "target": "broken",
            "split": {"by": "fraction"},
            "columns": {
                "numeric": ["size"], "categorical": ["colour"], "text": ["remark"],
                "datetime": ["moment"],
            },
            "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
        }  # fmt: skip
        return Recipe.model_validate(values | changes)

    return make
