"""For every family the proof holds, or there is a reason why there is no twin."""

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from cloche.training.acceleration.proven_twin import make_proven_twin
from cloche.training.errors import TwinRefused
from tests.training.acceleration import zoo


@pytest.mark.parametrize("family", zoo.each(*zoo.FAMILIES, *zoo.BOOSTERS))
def test_the_proof_holds_for_the_family(family):
    _, twin, rows = zoo.accelerated(family)

    assert twin.proof.rows == rows
    assert twin.proof.adversarial_rows > 300
    assert twin.proof.outside_rows == 0


@pytest.mark.parametrize("encoder", zoo.ENCODERS)
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        pytest.param(DecisionTreeClassifier(max_depth=5), marks=pytest.mark.breadth),
    ],
)
def test_the_proof_holds_for_the_encoder(estimator, encoder):
    rows = zoo.table()
    pipeline = zoo.fit_table(estimator, encoder=zoo.ENCODERS[encoder])
    assert make_proven_twin(zoo.original_of(pipeline, rows), rows).proof.outside_rows == 0


@pytest.mark.parametrize("kind", zoo.each(*zoo.TEXTS))
def test_the_proof_holds_for_text_by_words(kind):
    _, twin, _ = zoo.accelerated(kind)
    assert twin.proof.rows


def test_the_proof_holds_without_a_column_transformer():
    rows = zoo.table()[["gust", "hour"]]
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(rows, rows["gust"])
    assert make_proven_twin(zoo.original_of(pipeline, rows), rows).proof.largest_difference < 1e-9


def refuse(pipeline, rows, reason: str) -> None:
    """See that there is no twin, for this reason."""
    with pytest.raises(TwinRefused, match=reason):
        make_proven_twin(zoo.original_of(pipeline, rows), rows)


@pytest.mark.parametrize(
    ("estimator", "task", "reason"),
    [
        (KNeighborsClassifier(), "binary", "which neighbours are the nearest"),
        (LinearSVC(), "binary", "LinearSVC tells no probabilities"),
        (SVR(), "regression", "onnxruntime refuses the graph"),
        (CalibratedClassifierCV(LogisticRegression()), "binary", "not among the estimators"),
        (
            GradientBoostingClassifier(n_estimators=3, init=LogisticRegression()),
            "binary",
            "its boosting starts from LogisticRegression",
        ),
    ],
)
def test_an_estimator_is_refused_for_a_stated_reason(estimator, task, reason):
    refuse(zoo.fit_table(estimator, task), zoo.table(), reason)


@pytest.mark.breadth
@pytest.mark.parametrize(
    ("path", "params", "task", "reason"),
    [
        ("lightgbm.LGBMRegressor", {"linear_tree": True}, "regression", "linear models"),
        ("lightgbm.LGBMClassifier", {"zero_as_missing": True}, "binary", "zeros for missing"),
        ("lightgbm.LGBMRegressor", {"reg_sqrt": True}, "regression", "'regression sqrt'"),
        ("lightgbm.LGBMClassifier", {"pred_early_stop": True}, "binary", "pred_early_stop changes"),
        ("lightgbm.LGBMClassifier", {"objective": "regression"}, "binary", "no probability"),
        ("xgboost.XGBClassifier", {"booster": "dart"}, "binary", "booster 'dart'"),
        ("xgboost.XGBClassifier", {"booster": "gblinear"}, "binary", "booster 'gblinear'"),
        ("xgboost.XGBClassifier", {"objective": "binary:hinge"}, "binary", "'binary:hinge'"),
    ],
)
def test_a_booster_that_does_more_than_sum_trees_is_refused(path, params, task, reason):
    refuse(zoo.fit_table(zoo.booster(path, **params), task), zoo.table(), reason)


@pytest.mark.parametrize(
    ("numbers", "estimator", "reason"),
    [
        (make_pipeline(SimpleImputer(), PCA()), RandomForestClassifier(3), "PCA comes before"),
        (
            make_pipeline(SimpleImputer(), KBinsDiscretizer(quantile_method="linear")),
            LogisticRegression(),
            "KBinsDiscretizer is not among the transformers",
        ),
        (SimpleImputer(add_indicator=True), LogisticRegression(), "adds an indicator"),
    ],
)
def test_a_transformer_is_refused_for_a_stated_reason(numbers, estimator, reason):
    refuse(zoo.fit_table(estimator, numbers=numbers), zoo.table(), reason)


def test_an_imputer_of_something_else_than_missing_values_is_refused():
    rows = zoo.table()[["gust", "hour"]]
    pipeline = make_pipeline(SimpleImputer(missing_values=7.0), Ridge()).fit(rows, rows["gust"])
    refuse(pipeline, rows, r"fills 7\.0")


@pytest.mark.parametrize(
    ("vectorizer", "reason"),
    [
        (TfidfVectorizer(token_pattern=r"\S+"), "a pattern of its own"),
        (TfidfVectorizer(strip_accents="unicode"), "a function of its own"),
    ],
)
def test_text_is_refused_for_a_stated_reason(vectorizer, reason):
    refuse(zoo.fit_text(vectorizer), zoo.texts(), reason)
