"""A small table and the recipe for it, for tests to change one thing in."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloche.training.recipe.schema import Recipe


@pytest.fixture
def frame() -> pd.DataFrame:
    """200 customers, 25 of each household size, some of whom left; nothing is wrong with it."""
    draw = np.random.default_rng(7)
    rows = 200
    return pd.DataFrame(
        {
            "customer": [f"c{number:03}" for number in range(rows)],
            "day": pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
            "household": np.arange(rows) // 4,
            "age": draw.normal(40, 12, rows),
            "spend": draw.gamma(2, 30, rows),
            "plan": draw.choice(["free", "basic", "gold"], rows),
            "churned": draw.integers(0, 2, rows),
        }
    )


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    """Makes a recipe for `frame`, with the sections that a test gives in place of its own."""

    def make(**sections: Any) -> Recipe:
        values = {
            "name": "churn",
            "task": "binary",
            "data": {"source": "churn.csv"},
            "target": "churned",
            "split": {"by": "fraction", "holdout": 0.25},
            "columns": {"numeric": ["age", "spend"], "categorical": ["plan"]},
            "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
        }
        return Recipe.model_validate({**values, **sections})

    return make
