"""What is advised where there is no twin is done to the model or its rows, and there is one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from cloche.training.acceleration.original_model import original_from_estimator
from cloche.training.acceleration.proof.equivalence import Proof
from cloche.training.acceleration.proven_twin import make_proven_twin
from cloche.training.errors import TwinRefused
from cloche.training.recipe.load import load_recipe
from cloche.training.train import _accelerate
from tests.advice import text_of
from tests.training.acceleration import zoo

Made = tuple[Any, pd.DataFrame, pd.DataFrame]  # a model, what it is fitted on, what it is proven on
ROWS = 60


def proven(model: Any, known: pd.DataFrame, rows: pd.DataFrame) -> Proof:
    """Fit the model on what is known, and prove its twin on rows."""
    tells = known["gate"].astype("int64") % 2 if "gate" in known else np.arange(len(known)) % 3
    labels = np.asarray(tells == 0, dtype=int)
    model.fit(known, labels)
    signature = infer_signature(known, model.predict(known))
    return make_proven_twin(
        original_from_estimator(model, signature, predict="predict_proba"), rows
    ).proof


def numbers(*first: Any) -> Made:
    """Rows of which most lack a number."""
    known = pd.DataFrame({"x": np.linspace(0, 1, ROWS), "y": np.linspace(1, 0, ROWS)})
    rows = known.assign(y=known["y"].where(known.index == 0))
    return make_pipeline(*first, LogisticRegression()), known, rows


def categories(encoder: Any) -> Made:
    """Rows of which most have a category that training never saw, or none."""
    known = pd.DataFrame({"port": ["JFK", "EWR"] * (ROWS // 2)})
    rows = known.assign(port=["JFK", "EWR", *["LGA"] * (ROWS - 2)])
    features = ColumnTransformer([("ports", encoder, ["port"])])
    return make_pipeline(features, LogisticRegression()), known, rows


def gaps(encoder: Any) -> Made:
    """Rows of which most have no category."""
    model, known, rows = categories(encoder)
    return model, known, rows.replace("LGA", None)


def words(**options: Any) -> Made:
    known = pd.DataFrame({"note": ["good film", "bad film"] * (ROWS // 2)})
    features = ColumnTransformer([("words", TfidfVectorizer(**options), "note")])
    return make_pipeline(features, LogisticRegression()), known, known


def boosted(*first: Any, **options: Any) -> Made:
    drawn = np.random.default_rng(0)
    known = pd.DataFrame({"gate": drawn.integers(0, 4, ROWS), "gust": drawn.normal(size=ROWS)})
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5, **options)
    return make_pipeline(*first, model) if first else model, known, known


def encoded() -> Any:
    return ColumnTransformer([("g", OneHotEncoder(), ["gate"])], remainder="passthrough")


def filled(made: Made) -> Made:
    model, known, _ = made
    return model, known, known


def trained_on_its_rows(made: Made) -> Made:
    model, _, rows = made
    return model, rows, rows


# What gets no twin, what is said, and what is done then.
REFUSED: dict[str, tuple[Callable[[], Made], str, Callable[[str], Made]]] = {
    "a number is missing": (numbers, r"; (fill it), or impute", lambda _: filled(numbers())),
    "a number is missing in the pipeline": (
        numbers, r"or (impute) it in the pipeline", lambda _: numbers(SimpleImputer()),
    ),
    "a category is missing": (
        lambda: gaps(OneHotEncoder()), r"for nothing that the model knows; (fill it)",
        lambda _: filled(gaps(OneHotEncoder())),
    ),
    "a new category": (
        lambda: categories(OneHotEncoder()), r"give its encoder (handle_unknown='ignore'),",
        lambda said: categories(OneHotEncoder(**eval(f"dict({said})"))),  # noqa: S307
    ),
    "a new category that is trained on": (
        lambda: categories(OneHotEncoder()), r"or (train on such rows)",
        lambda _: trained_on_its_rows(categories(OneHotEncoder())),
    ),
    "runs of characters": (
        lambda: words(analyzer="char_wb"), r"cannot count; (word)s it can",
        lambda said: words(analyzer=said),
    ),
    "categories that it splits itself": (
        lambda: boosted(categorical_features=["gate"]), r"\(categorical_features\); (encode) them",
        lambda _: boosted(encoded()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_advised_where_there_is_no_twin_makes_one(reason):
    made, pattern, mend = REFUSED[reason]
    with pytest.raises(TwinRefused) as caught:
        proven(*made())
    assert proven(*mend(text_of(pattern, caught.value))).outside_rows == 0


@pytest.mark.breadth
@pytest.mark.parametrize("path", ["lightgbm.LGBMClassifier", "xgboost.XGBClassifier"])
def test_boosters_whose_categories_are_encoded_before_them_have_a_twin(path):
    known = {"xgboost": {"enable_categorical": True}}.get(path.partition(".")[0], {})
    rows = zoo.table()[["gust", "gate"]]
    with pytest.raises(TwinRefused, match="encode them before it"):
        proven(zoo.booster(path, **known), rows.astype({"gate": "category"}), rows)
    assert proven(make_pipeline(encoded(), zoo.booster(path)), rows, rows).rows == len(rows)


@pytest.mark.breadth
def test_a_booster_that_leaves_missing_values_to_nan_has_a_twin():
    _, rows, _ = boosted()
    with pytest.raises(TwinRefused, match=r"takes 0\.0 for missing; leave that to NaN"):
        proven(zoo.booster("xgboost.XGBClassifier", missing=0.0), rows, rows)
    assert proven(zoo.booster("xgboost.XGBClassifier", missing=np.nan), rows, rows).rows == ROWS


def test_an_attempt_is_saved_as_it_is_advised():
    model, known, _ = words()
    foreign = known.assign(note=["좋은 영화", "나쁜 영화"] * (ROWS // 2))
    with pytest.raises(TwinRefused) as caught:
        proven(model, known, foreign)
    advised = text_of(r"\((acceleration: \w+) saves the attempt\)", caught.value)
    recipe = load_recipe("comments", [advised.replace(": ", "=")])

    def original() -> Any:
        pytest.fail("it was attempted")

    assert _accelerate(recipe, original, foreign, "m-1", pytest.fail) == {}
