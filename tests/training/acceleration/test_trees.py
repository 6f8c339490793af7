"""Trees ask the very questions that scikit-learn asks, to the last bit of a float64."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeRegressor

from tests.training.acceleration import zoo
from training.acceleration import trees
from training.acceleration.convert import convert
from training.acceleration.session import Session
from training.errors import TwinRefused

ESTIMATORS = [
    DecisionTreeRegressor(),
    RandomForestRegressor(3),
    GradientBoostingRegressor(n_estimators=3),
    HistGradientBoostingRegressor(max_iter=3),
]


def fitted(estimator):
    """One feature whose values no float32 holds; every leaf has a value of its own."""
    rows = pd.DataFrame({"x": np.random.default_rng(0).normal(size=300) / 3})
    return clone(estimator).fit(rows, np.arange(300.0) ** 2)


def scores(model, values) -> np.ndarray:
    rows = pd.DataFrame({"x": values})
    original = zoo.original_of(model, rows)
    return Session(convert(original).SerializeToString(), original.inputs, 0).scores(rows)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_threshold_parts_the_same_numbers(estimator):
    model = fitted(estimator)
    (_, found), *_ = trees.thresholds(model)
    single = found.astype(np.float32)
    halves = (single.astype(float) + np.nextafter(single, np.float32(np.inf))) / 2
    points = np.concatenate([found, halves])
    values = np.concatenate([points, *(np.nextafter(points, to) for to in (-np.inf, np.inf))])

    expected = model.predict(pd.DataFrame({"x": values}))

    assert len(np.unique(expected)) > 3
    np.testing.assert_allclose(scores(model, values), expected, rtol=2e-7)


def test_a_missing_value_takes_the_side_that_it_took_in_training():
    rows = pd.DataFrame({"x": [1.0, 2.0, np.nan, 8.0, 9.0, np.nan] * 20})
    truth = np.tile([1.0, 1.0, 5.0, 3.0, 3.0, 5.0], 20)
    for estimator in (DecisionTreeRegressor(), HistGradientBoostingRegressor(min_samples_leaf=5)):
        model = estimator.fit(rows, truth)

        np.testing.assert_allclose(scores(model, rows["x"]), model.predict(rows), rtol=2e-7)


def test_a_forest_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(trees, "MOST_NODES", 10)

    with pytest.raises(TwinRefused, match=r"its trees have \d+ nodes, and 10 are the most"):
        scores(fitted(DecisionTreeRegressor()), [0.0])


def test_several_targets_are_refused():
    model = DecisionTreeRegressor().fit([[0.0], [1.0]], [[0.0, 1.0], [1.0, 0.0]])

    with pytest.raises(TwinRefused, match="several targets"):
        trees.ensemble_of(model)
