"""From an original to a twin as it is stored, or to the reason why there is none."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from cloche.serving.host.predictors.twin import Twin as LoadedTwin
from cloche.training.acceleration import accelerate as room
from cloche.training.acceleration.accelerate import accelerate
from cloche.training.acceleration.original_model import of_estimator, of_fitted
from cloche.training.errors import TwinRefused
from cloche.training.packaging.signature import make_signature, model_inputs
from cloche.training.pipeline.fit import fit
from cloche.training.recipe.load import load_recipe
from tests.training.acceleration import zoo


@pytest.fixture
def original():
    return zoo.original_of(zoo.fit_table(LogisticRegression()), zoo.table())


def test_the_document_says_how_to_answer_from_the_graph(original):
    twin = accelerate(original, zoo.table())

    document = json.loads(twin.text)
    assert document["sha256"] == hashlib.sha256(twin.graph).hexdigest()
    assert twin.digest == hashlib.sha256(twin.text.encode()).hexdigest()
    assert [(one["column"], one["tensor"], one["missing"]) for one in document["inputs"]] == [
        ("wind", "double", None),
        ("gust", "double", None),
        ("hour", "double", None),
        ("port", "string", None),
        ("gate", "int64", None),
    ]
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

    made = accelerate(zoo.original_of(estimator, rows), rows)

    made.write(tmp_path / "onnx")
    told = LoadedTwin.load(tmp_path, NAMES).predict([rows[name].to_numpy() for name in NAMES])
    assert (made.proof.rows, made.proof.outside_rows) == (200, 0)
    assert told.sure.mean() > 0.9
    np.testing.assert_array_equal(told.columns[0][told.sure], estimator.predict(rows)[told.sure])


def test_only_a_sum_whose_order_shows_asks_for_one_thread(original):
    rows = zoo.table()
    single = zoo.fit_table(zoo.booster("xgboost.XGBClassifier"))

    document = accelerate(zoo.original_of(single, rows), rows).document
    assert document["threads"] == 1
    assert {"xgboost-cpu", "xgboost"} & document["proof"]["versions"].keys()
    assert accelerate(original, rows).document["threads"] is None


def test_a_version_that_cloche_trains_answers_by_names():
    recipe = load_recipe("diabetes", [])
    rows = model_inputs(
        pd.DataFrame(
            {
                name: np.random.default_rng(at).normal(size=60)
                for at, name in enumerate(recipe.columns.numeric)
            }
        ).assign(sex=[1, 2] * 30),
        recipe.columns,
    )
    fitted = fit(recipe, rows, rows["bmi"] * 3)
    signature = make_signature(rows, fitted.predict(rows))

    document = accelerate(of_fitted(fitted, signature), rows).document

    assert document["answer"] == {"columns": [{"name": "prediction", "from": "value"}]}
    assert document["inputs"][-1] == {
        "name": "sex",
        "column": "sex",
        "tensor": "string",
        "missing": "",
    }


def test_without_the_extra_the_message_says_how_to_get_it(original, monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda name: None)

    with pytest.raises(TwinRefused, match=r"pip install 'cloche\[acceleration\]'"):
        accelerate(original, zoo.table())


def test_a_proof_takes_no_longer_than_it_may(original):
    with pytest.raises(TwinRefused, match="took longer than 0 s"):
        accelerate(original, zoo.table(), seconds=0)


def test_there_is_no_proof_without_rows(original):
    with pytest.raises(TwinRefused, match="no rows"):
        accelerate(original, zoo.table().head(0))


def test_an_unforeseen_failure_is_a_refusal_and_costs_no_training(original, monkeypatch):
    monkeypatch.setattr(room, "_proven", lambda *_: 1 / 0)

    with pytest.raises(TwinRefused, match="ZeroDivisionError"):
        accelerate(original, zoo.table())


def test_a_graph_that_scores_otherwise_gets_no_twin(original, monkeypatch):
    other = zoo.fit_table(LogisticRegression(C=0.01))
    monkeypatch.setattr(
        "cloche.training.acceleration.conversion.convert._split", lambda _: other
    )  # a converter that gives a wrong result

    with pytest.raises(TwinRefused, match="scores differ"):
        accelerate(original, zoo.table())


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pd.Series([True, False] * 20), "column 'x' is boolean and used as a category"),
        (pd.date_range("2026-01-01", periods=40).to_series(), "column 'x' is datetime"),
    ],
)
def test_a_column_that_no_tensor_holds_is_refused(column, reason):
    rows = pd.DataFrame({"x": column.to_numpy()})
    pipeline = zoo.make_pipeline(
        zoo.ColumnTransformer([("x", zoo.OneHotEncoder(), ["x"])]), Ridge()
    ).fit(rows, np.arange(40))

    with pytest.raises(TwinRefused, match=reason):
        of_estimator(pipeline, infer_signature(rows))


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
def test_labels_that_contradict_probabilities_are_refused():
    rows = zoo.table()

    with pytest.raises(TwinRefused, match="do not follow from its probabilities"):
        zoo.original_of(zoo.fit_table(SVC(probability=True)), rows)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (np.linspace(0, 1, 40, dtype=np.float32), "column 'x' is float and used as a number"),
        (np.arange(40) % 2 == 0, "column 'x' is boolean and used as a number"),
    ],
)
def test_types_that_scikit_learn_computes_with_otherwise_are_refused(column, reason):
    rows = pd.DataFrame({"x": column})

    with pytest.raises(TwinRefused, match=reason):
        zoo.original_of(Ridge().fit(rows, np.arange(40)), rows)


def test_a_model_without_named_columns_is_refused():
    values = np.arange(10.0)[:, None]
    model = Ridge().fit(values, values[:, 0])

    with pytest.raises(TwinRefused, match="names no columns"):
        of_estimator(model, infer_signature(values))


def test_another_method_than_predict_is_refused():
    rows = zoo.table()
    pipeline = zoo.fit_table(LogisticRegression())

    with pytest.raises(TwinRefused, match="predict_log_proba"):
        zoo.original_of(pipeline, rows, predict="predict_log_proba")


def text_model():
    words = make_pipeline(
        ColumnTransformer([("words", TfidfVectorizer(), "note")]), LogisticRegression()
    )
    return words, pd.DataFrame({"note": ["좋다 참", "나쁘다 참"] * 20})


def number_model(*first):
    rows = pd.DataFrame({"x": [0.0, 1.0] * 20, "y": [1.0, *[None] * 39]})
    return make_pipeline(*first, LogisticRegression()), rows


def twin_of(model, rows):
    known = rows.fillna({"y": 0.5})
    labels = pd.factorize(known.iloc[:, 0])[0]
    model.fit(known, labels)
    signature = infer_signature(known, model.predict(known))
    return accelerate(of_estimator(model, signature, predict="predict_proba"), rows)


@pytest.mark.parametrize(
    ("made", "message", "mended"),
    [
        (text_model, "note has characters beyond printable ASCII", None),
        (
            number_model,
            "y is missing, and the model takes no missing number; fill it, or impute it in the "
            "pipeline (in 39 of 40 rows)",
            lambda: number_model(SimpleImputer()),
        ),
    ],
)
def test_a_twin_that_declines_the_rows_says_which_column_and_what_mends_it(made, message, mended):
    with pytest.raises(TwinRefused, match="of the holdout's rows to the original: ") as caught:
        twin_of(*made())
    assert message in str(caught.value)
    if mended is not None:
        assert twin_of(*mended()).proof.outside_rows == 0
