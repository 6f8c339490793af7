"""Trees ask the very questions that scikit-learn asks, to the last bit of a float64."""

from importlib import import_module

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

from cloche.training.acceleration.conversion import trees
from cloche.training.acceleration.conversion.convert import convert
from cloche.training.acceleration.onnx_session import Session
from cloche.training.acceleration.proven_twin import make_proven_twin
from cloche.training.errors import TwinRefused
from tests.training.acceleration import zoo

ESTIMATORS = [
    DecisionTreeRegressor(), RandomForestRegressor(3), GradientBoostingRegressor(n_estimators=3),
    HistGradientBoostingRegressor(max_iter=3),
]  # fmt: skip


def fitted(estimator):
    """One feature whose values no float32 holds; every leaf has a value of its own."""
    rows = pd.DataFrame({"x": np.random.default_rng(0).normal(size=300) / 3})
    return clone(estimator).fit(rows, np.arange(300.0) ** 2)


def scores(model, values) -> np.ndarray:
    rows = pd.DataFrame({"x": values})
    original = zoo.original_of(model, rows)
    session = Session(convert(original).SerializeToString(), original.inputs, len(original.classes))
    return session.scores(rows)


def around(model, *more: float) -> np.ndarray:
    """Every threshold of a model, what float32 makes of it, more points, and all neighbours."""
    (_, found), *_ = trees.thresholds(model)
    single = found.astype(np.float32)
    halves = (single.astype(float) + np.nextafter(single, np.float32(np.inf))) / 2
    points = np.concatenate([found, halves, more])
    return np.concatenate([points, *(np.nextafter(points, to) for to in (-np.inf, np.inf))])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_threshold_parts_the_same_numbers(estimator):
    model = fitted(estimator)
    values = around(model)

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


BOOSTERS = [
    ("lightgbm.LGBMRegressor", {}),
    ("xgboost.XGBRegressor", {}),
    pytest.param("lightgbm.LGBMRegressor", {"objective": "poisson"}, marks=pytest.mark.breadth),
    pytest.param("xgboost.XGBRegressor", {"objective": "count:poisson"}, marks=pytest.mark.breadth),
]


@pytest.mark.parametrize(("path", "params"), BOOSTERS)
def test_every_threshold_of_a_booster_parts_the_same_numbers(path, params):
    model = fitted(zoo.booster(path, **params))
    values = around(model, 0.0, 1e-35, -1e-35, float(np.float32(-1e-35)))

    expected = model.predict(pd.DataFrame({"x": values}))

    assert len(np.unique(expected)) > 20
    np.testing.assert_allclose(scores(model, values), expected, rtol=2.5e-7)


@pytest.mark.parametrize(("path", "params"), BOOSTERS)
@pytest.mark.parametrize("rows", [[1.0, 2.0, np.nan, 8.0] * 30, [-1.0, 2.0, 3.0, 8.0] * 30])
def test_a_booster_takes_a_missing_value_as_it_did_in_training(path, params, rows):
    seen = pd.DataFrame({"x": rows})
    model = zoo.booster(path, **params).fit(seen, np.tile([1.0, 2.0, 7.0, 3.0], 30))

    asked = [*rows[:4], np.nan]

    expected = model.predict(pd.DataFrame({"x": asked}))
    np.testing.assert_allclose(scores(model, asked), expected, rtol=2.5e-7)


def test_the_sums_of_xgboost_are_its_own_to_the_last_bit():
    rows = pd.DataFrame({"x": np.random.default_rng(0).normal(size=500)})
    model = zoo.booster("xgboost.XGBRegressor", n_estimators=300).fit(rows, 1e6 + rows["x"] * 1e3)
    np.testing.assert_array_equal(scores(model, rows["x"]), model.predict(rows))


def test_large_counts_lose_nothing_in_the_exponent():
    rows = pd.DataFrame({"x": np.random.default_rng(0).normal(size=500)})
    model = HistGradientBoostingRegressor(loss="poisson").fit(rows, np.exp(rows["x"] + 10))
    np.testing.assert_allclose(scores(model, rows["x"]), model.predict(rows), rtol=1e-10)


@pytest.mark.parametrize("path", ["lightgbm.LGBMClassifier", "xgboost.XGBClassifier"])
def test_what_a_sparse_matrix_leaves_out_means_what_the_library_takes_it_for(path):
    rows = zoo.table().assign(port=np.arange(zoo.ROWS) % 40, gust=zoo.table()["gust"].round())
    numbers = ["wind", "gust", "hour"]
    encoded = zoo.ColumnTransformer(
        [("numbers", "passthrough", numbers), ("ports", zoo.OneHotEncoder(), ["port"])]
    )
    pipeline = zoo.make_pipeline(encoded, zoo.booster(path)).fit(rows, zoo.truth(rows, "binary"))

    assert encoded.sparse_output_
    assert make_proven_twin(zoo.original_of(pipeline, rows), rows).proof.outside_rows == 0


def test_an_early_stop_ends_the_sum_of_lightgbm():
    late, rows = early_rows()
    model = zoo.booster("lightgbm.LGBMClassifier", n_estimators=200)
    stop = import_module("lightgbm").early_stopping(3, verbose=False)
    model.fit(rows, late, eval_X=rows.iloc[::-1] * 2, eval_y=late, callbacks=[stop])

    assert len(trees.ensemble_of(model).trees) == model.best_iteration_ < 200
    np.testing.assert_allclose(
        scores(model, rows["x"]), model.predict_proba(rows), atol=2.5e-7, rtol=0
    )


def test_an_early_stop_ends_the_sum_of_xgboost():
    late, rows = early_rows()
    model = zoo.booster("xgboost.XGBClassifier", n_estimators=200, early_stopping_rounds=3)
    model.fit(rows, late, eval_set=[(rows.iloc[::-1] * 2, late)], verbose=False)

    grown = model.get_booster().num_boosted_rounds()
    assert len(trees.ensemble_of(model).trees) == model.best_iteration + 1 < grown
    np.testing.assert_allclose(
        scores(model, rows["x"]), model.predict_proba(rows), atol=2.5e-7, rtol=0
    )


def early_rows() -> tuple[np.ndarray, pd.DataFrame]:
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"x": random.normal(size=400)})
    return (rows["x"] + random.normal(size=400) > 0).to_numpy(int), rows
