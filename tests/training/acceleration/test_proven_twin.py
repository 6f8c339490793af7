"""From an original to a twin as it is stored, or to the reason why there is none."""

import functools
import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from cloche.serving.host.predictors.twin import Twin as LoadedTwin
from cloche.training.acceleration import proven_twin as room
from cloche.training.acceleration.original_model import (
    original_from_estimator,
    original_from_fitted,
)
from cloche.training.acceleration.proven_twin import make_proven_twin
from cloche.training.errors import TwinRefused
from cloche.training.packaging.signature import make_signature, model_inputs
from cloche.training.pipeline.fit import fit
from cloche.training.recipe.load import load_recipe
from tests.training.acceleration import zoo


@functools.cache
def logistic():
    return zoo.original_of(zoo.fit_table(LogisticRegression()), zoo.table())


@pytest.fixture
def original():
    return logistic()


def test_the_document_says_how_to_answer_from_the_graph(original):
    twin = make_proven_twin(original, zoo.table())

    document = json.loads(twin.text)
    assert document["sha256"] == hashlib.sha256(twin.graph).hexdigest()
    assert twin.digest == hashlib.sha256(twin.text.encode()).hexdigest()
    assert [(one["column"], one["tensor"], one["missing"]) for one in document["inputs"]] == [
        ("wind", "double", None), ("gust", "double", None), ("hour", "double", None),
        ("port", "string", None), ("gate", "int64", None),
    ]  # fmt: skip
    assert document["scores"]["kind"] == "probabilities"
    assert document["classes"] == [0, 1]
    assert document["answer"] == {"array": "label"}
    assert document["proof"]["rows"] == len(zoo.table())


NAMES = [
    "mean radius", "mean_radius", "댓글 수", "1st", "a-b", "a.b", "a/b", "label", "probabilities",
    "scores", "variable", "_", " ", 'it"s', "line\nend", "constructor", "né",
]  # fmt: skip


@pytest.mark.parametrize("estimator", [LogisticRegression(), DecisionTreeClassifier(max_depth=4)])
def test_columns_of_any_name_reach_the_graph_under_it(estimator, tmp_path):
    drawn = np.random.default_rng(0).normal(size=(200, len(NAMES)))
    rows = pd.DataFrame(drawn, columns=NAMES)
    estimator = estimator.fit(rows, drawn @ np.arange(len(NAMES)) > 0)

    made = make_proven_twin(zoo.original_of(estimator, rows), rows)

    made.write(tmp_path / "onnx")
    told = LoadedTwin.load(tmp_path, NAMES).predict([rows[name].to_numpy() for name in NAMES])
    assert (made.proof.rows, made.proof.outside_rows) == (200, 0)
    assert told.sure.mean() > 0.9
    np.testing.assert_array_equal(told.columns[0][told.sure], estimator.predict(rows)[told.sure])


def test_only_a_sum_whose_order_shows_asks_for_one_thread(original):
    rows = zoo.table()
    single = zoo.fit_table(zoo.booster("xgboost.XGBClassifier"))

    document = make_proven_twin(zoo.original_of(single, rows), rows).document
    assert document["threads"] == 1
    assert {"xgboost-cpu", "xgboost"} & document["proof"]["versions"].keys()
    assert make_proven_twin(original, rows).document["threads"] is None


def test_a_version_that_cloche_trains_answers_by_names():
    recipe = load_recipe("diabetes", [])
    names = recipe.columns.numeric
    drawn = np.random.default_rng(0).normal(size=(60, len(names)))
    table = pd.DataFrame(drawn, columns=names).assign(sex=[1, 2] * 30)
    rows = model_inputs(table, recipe.columns)
    fitted = fit(recipe, rows, rows["bmi"] * 3)
    signature = make_signature(rows, fitted.predict(rows))

    document = make_proven_twin(original_from_fitted(fitted, signature), rows).document

    assert document["answer"] == {"columns": [{"name": "prediction", "from": "value"}]}
    sex = {"name": "sex", "column": "sex", "tensor": "string", "missing": ""}
    assert document["inputs"][-1] == sex


def test_a_proof_needs_rows_and_takes_no_longer_than_it_may(original):
    with pytest.raises(TwinRefused, match="took longer than 0 s"):
        make_proven_twin(original, zoo.table(), seconds=0)
    with pytest.raises(TwinRefused, match="no rows"):
        make_proven_twin(original, zoo.table().head(0))


def test_an_unforeseen_failure_is_a_refusal_and_costs_no_training(original, monkeypatch):
    monkeypatch.setattr(room, "_convert_and_prove", lambda *_: 1 / 0)

    with pytest.raises(TwinRefused, match="ZeroDivisionError"):
        make_proven_twin(original, zoo.table())


def test_a_graph_that_scores_otherwise_gets_no_twin(original, monkeypatch):
    other = zoo.fit_table(LogisticRegression(C=0.01))
    monkeypatch.setattr(
        "cloche.training.acceleration.conversion.convert._split", lambda _: other
    )  # a converter that gives a wrong result

    with pytest.raises(TwinRefused, match="scores differ"):
        make_proven_twin(original, zoo.table())


def of_category(column) -> None:
    """A model that takes a column as a category."""
    rows = pd.DataFrame({"x": column})
    features = zoo.ColumnTransformer([("x", zoo.OneHotEncoder(), ["x"])])
    model = zoo.make_pipeline(features, Ridge()).fit(rows, np.arange(40))
    original_from_estimator(model, infer_signature(rows))


def of_number(column) -> None:
    """A model that computes with a column."""
    rows = pd.DataFrame({"x": column})
    zoo.original_of(Ridge().fit(rows, np.arange(40)), rows)


def without_names() -> None:
    values = np.arange(10.0)[:, None]
    original_from_estimator(Ridge().fit(values, values[:, 0]), infer_signature(values))


def of_table(estimator, **options) -> None:
    zoo.original_of(zoo.fit_table(estimator), zoo.table(), **options)


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: of_category([True, False] * 20), "column 'x' is boolean and used as a category"),
        (lambda: of_category(pd.date_range("2026-01-01", periods=40)), "column 'x' is datetime"),
        # types that scikit-learn computes with otherwise
        (lambda: of_number(np.zeros(40, np.float32)), "column 'x' is float and used as a number"),
        (lambda: of_number([True, False] * 20), "column 'x' is boolean and used as a number"),
        (lambda: of_table(SVC(probability=True)), "do not follow from its probabilities"),
        (without_names, "names no columns"),
        (lambda: of_table(LogisticRegression(), predict="predict_log_proba"), "predict_log_proba"),
    ],
)
def test_an_original_that_no_graph_can_stand_for_is_refused(make, reason):
    with pytest.raises(TwinRefused, match=reason):
        make()
