"""The small samples: complete, with names that fit a form, and trainable by the shipped recipes."""

import re

import pytest

from cloche.training.dataset.checks.checks import check_split, check_table
from cloche.training.dataset.reading.sources import load_table
from cloche.training.dataset.samples.catalog import SAMPLES
from cloche.training.dataset.split import split
from cloche.training.recipe.load import load_recipe


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"flights"}))
def test_a_sample_has_its_target_and_simple_names(name):
    frame = SAMPLES[name].load()
    assert SAMPLES[name].target in frame
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", column) for column in frame.columns)
    assert not frame.isna().any(axis=None)


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes"])
def test_the_shipped_recipe_finds_nothing_wrong_with_it(name):
    recipe = load_recipe(name)
    frame = load_table(recipe.data, recipe.used_columns).frame
    assert check_table(frame, recipe) == []
    assert check_split(split(frame, recipe), recipe) == []


def test_wines_are_called_by_their_cultivar():
    wines = SAMPLES["wine"].load()
    assert wines["cultivar"].value_counts().to_dict() == {
        "grignolino": 71,
        "barolo": 59,
        "barbera": 48,
    }
