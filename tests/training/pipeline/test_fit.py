"""From a recipe to a fitted model: every family of estimator gets features that it can take."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cloche.training.pipeline.fit import fit
from tests.training.acceleration import zoo


@pytest.mark.parametrize(
    "estimator",
    [
        "sklearn.linear_model.LogisticRegression", "sklearn.neighbors.KNeighborsClassifier",
        "sklearn.naive_bayes.GaussianNB", "sklearn.ensemble.RandomForestClassifier",
        "sklearn.ensemble.HistGradientBoostingClassifier",
    ],
)  # fmt: skip
def test_estimators_that_do_and_do_not_take_missing_values_or_sparse_rows_fit(
    estimator, make_recipe, table
):
    recipe = make_recipe(estimator={"class": estimator})
    output = fit(recipe, table, table["broken"]).predict(table)
    assert list(output.columns) == ["prediction", "probability"]
    assert roc_auc_score(table["broken"], output["probability"]) > 0.8


def test_a_category_and_a_word_that_training_never_saw_are_no_error(make_recipe, table):
    for estimator in ("linear_model.LogisticRegression", "ensemble.RandomForestClassifier"):
        recipe = make_recipe(estimator={"class": f"sklearn.{estimator}"})
        unseen = table.head(1).assign(colour="violet", remark="unheard of")

        output = fit(recipe, table, table["broken"]).predict(unseen)

        assert 0 <= output["probability"].item() <= 1


def test_the_order_of_the_columns_does_not_matter(make_recipe, table):
    fitted = fit(make_recipe(), table, table["broken"])
    pd.testing.assert_frame_equal(
        fitted.predict(table), fitted.predict(table[sorted(table, reverse=True)])
    )


def test_the_positive_label_of_the_recipe_is_the_one_whose_probability_is_given(make_recipe, table):
    target = table["broken"].map({0: "works", 1: "broken"})

    by_default = fit(make_recipe(), table, target).predict(table)
    as_asked = fit(make_recipe(positive="broken"), table, target).predict(table)

    np.testing.assert_allclose(by_default["probability"], 1 - as_asked["probability"])
    pd.testing.assert_series_equal(by_default["prediction"], as_asked["prediction"])


def test_xgboost_answers_with_labels_that_are_no_numbers(make_recipe, table):
    zoo.need("xgboost")
    truth = pd.Series(np.where(table["broken"] == 1, "yes", "no"))
    recipe = make_recipe(estimator={"class": "xgboost.XGBClassifier"}, positive="no")

    output = fit(recipe, table, truth).predict(table)

    assert roc_auc_score(truth == "no", output["probability"]) > 0.8
    assert set(output["prediction"]) == {"yes", "no"}
    assert output["probability"].dtype == np.float64
