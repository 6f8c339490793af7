"""The list of trusted types is as short as the pipeline allows, and never grows by itself."""

import copy
import re

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from cloche.training.errors import TrainingError
from cloche.training.packaging.skops_trust import trusted_types
from cloche.training.recipe.sections import Estimator
from tests.training.acceleration import zoo

LOGISTIC = Estimator.model_validate({"class": "sklearn.linear_model.LogisticRegression"})
ROWS, LABELS = [[0.0], [1.0]] * 20, [0, 1] * 20


def test_a_linear_model_needs_no_trust_at_all():
    assert trusted_types(LogisticRegression().fit(ROWS, LABELS), LOGISTIC) == []


def test_gradient_boosting_needs_its_trees():
    fitted = HistGradientBoostingClassifier(max_iter=1).fit(ROWS, LABELS)
    assert trusted_types(fitted, LOGISTIC) == [
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
    ]


def test_types_that_are_refused_are_trusted_under_the_key_that_is_named():
    pipeline = make_pipeline(FunctionTransformer(copy.copy), LogisticRegression())
    fitted = pipeline.fit(ROWS, LABELS)
    with pytest.raises(TrainingError) as refusal:
        trusted_types(fitted, LOGISTIC)
    said = str(refusal.value)
    types = re.search(r"not trusted: (.*?); review them", said)[1].split(", ")
    key = re.search(r"list those you trust under estimator\.(\w+) in the recipe$", said)[1]
    vouching = Estimator.model_validate({"class": LOGISTIC.class_, key: types})
    assert trusted_types(fitted, vouching) == types


@pytest.mark.parametrize(
    ("path", "types"),
    [
        (
            "lightgbm.LGBMClassifier",
            [
                "collections.OrderedDict",
                "lightgbm.basic.Booster",
                "lightgbm.sklearn.LGBMClassifier",
            ],
        ),
        ("xgboost.XGBClassifier", ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]),
    ],
)
def test_a_booster_needs_its_own_classes(path, types):
    estimator = Estimator.model_validate({"class": path})
    assert trusted_types(zoo.booster(path).fit(ROWS, LABELS), estimator) == types


def test_an_estimator_of_plain_parameters_is_stored_as_it_is_advised(tmp_path):
    fitted = LogisticRegression().fit(ROWS, LABELS)
    with (tmp_path / "log").open("w") as file:
        fitted.set_params(verbose=file)
        with pytest.raises(TrainingError, match="; use parameters that are plain values, and"):
            trusted_types(fitted, LOGISTIC)
    assert trusted_types(fitted.set_params(verbose=0), LOGISTIC) == []
