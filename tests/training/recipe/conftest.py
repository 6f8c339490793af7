"""A small recipe, as values and as a file, for tests to change one thing in."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training.conftest import CHURN

Values = dict[str, Any]


@pytest.fixture
def values() -> Values:
    """The values of a small sound recipe."""
    return copy.deepcopy(CHURN)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a recipe, given as values or as text, to a file; returns its path."""

    def to_file(recipe: Values | str) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text(recipe if isinstance(recipe, str) else yaml.safe_dump(recipe))
        return str(path)

    return to_file
