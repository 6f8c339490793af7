"""A small recipe, as values and as a file, for tests to change one thing in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Values = dict[str, Any]


@pytest.fixture
def values() -> Values:
    """The values of a small sound recipe."""
    return {
        "name": "churn",
        "task": "binary",
        "data": {"source": "churn.csv"},
        "target": "churned",
        "split": {"by": "fraction", "holdout": 0.25},
        "columns": {"numeric": ["age", "spend"], "categorical": ["plan"]},
        "estimator": {"class": "sklearn.linear_model.LogisticRegression", "params": {"C": 1.0}},
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a recipe, given as values or as text, to a file; returns its path."""

    def to_file(recipe: Values | str) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe))
        return str(path)

    return to_file
