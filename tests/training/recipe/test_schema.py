"""What the records promise to those who build on them."""

import pytest
from pydantic import ValidationError

from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import Columns, Range


def test_features_come_in_the_order_of_roles_and_of_the_recipe():
    columns = Columns.model_validate({"text": ["t"], "numeric": ["b", "a"], "categorical": ["c"]})
    assert columns.features == ("b", "a", "c", "t")
    assert columns.with_role("numeric") == ("b", "a")


def test_used_columns_name_each_column_once(values):
    values["split"] = {"by": "group", "column": "household"}
    values["slices"] = ["plan", "region"]
    values["gate"] = {"slices": [{"column": "country", "metric": "f1", "minimum": 0.5}]}
    recipe = Recipe.model_validate(values)
    assert recipe.used_columns == (
        *("age", "spend", "plan", "churned", "household", "region", "country"),
    )


def test_whole_ends_stay_whole_and_fractions_stay_fractions():
    assert isinstance(Range(low=1, high=3).low, int)
    assert isinstance(Range(low=0.5, high=3).low, float)


def test_a_recipe_does_not_change(values):
    recipe = Recipe.model_validate(values)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 1
