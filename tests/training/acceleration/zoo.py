"""Fitted models of every family, with rows that they know."""

import os
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from cloche.training.acceleration.original_model import (
    OriginalModel,
    original_from_estimator,
    original_from_fitted,
)
from cloche.training.acceleration.proof.stored_twin import ProvenTwin
from cloche.training.acceleration.proven_twin import make_proven_twin
from cloche.training.packaging.signature import make_signature, model_inputs
from cloche.training.pipeline.fit import fit
from cloche.training.recipe.schema import Recipe

ROWS = 300
WORDS = ("good", "bad", "Ok", "it's", "a", "movie", "b_2", "fine")

# name → (estimator, task); estimators that take missing values get them.
FAMILIES = {
    "logistic": (LogisticRegression(), "binary"),
    "logistic, three classes": (LogisticRegression(), "three"),
    "ridge": (Ridge(), "regression"),
    "least squares": (LinearRegression(), "regression"),
    "sgd": (SGDClassifier(loss="log_loss", random_state=0), "binary"),
    "sgd, three classes": (SGDClassifier(loss="log_loss", random_state=0), "three"),
    "sgd regression": (SGDRegressor(random_state=0), "regression"),
    "tree": (DecisionTreeClassifier(max_depth=6, random_state=0), "three"),
    "tree regression": (DecisionTreeRegressor(random_state=0), "regression"),
    "forest": (RandomForestClassifier(20, random_state=0), "binary"),
    "forest, three classes": (RandomForestClassifier(20, random_state=0), "three"),
    "forest regression": (RandomForestRegressor(20, random_state=0), "regression"),
    "extra trees": (ExtraTreesClassifier(20, random_state=0), "binary"),
    "extra trees regression": (ExtraTreesRegressor(20, random_state=0), "regression"),
    "boosting": (GradientBoostingClassifier(n_estimators=20, random_state=0), "binary"),
    "boosting, three classes": (GradientBoostingClassifier(n_estimators=20), "three"),
    "boosting, exponential": (
        GradientBoostingClassifier(n_estimators=20, loss="exponential"), "binary",
    ),
    "boosting regression": (GradientBoostingRegressor(n_estimators=20), "regression"),
    "histograms": (HistGradientBoostingClassifier(max_iter=20), "binary"),
    "histograms, three classes": (HistGradientBoostingClassifier(max_iter=20), "three"),
    "histograms regression": (HistGradientBoostingRegressor(max_iter=20), "regression"),
    "histograms, counts": (HistGradientBoostingRegressor(max_iter=20, loss="poisson"), "counts"),
    "network": (MLPClassifier((6,), max_iter=30, random_state=0), "three"),
    "network regression": (
        MLPRegressor(hidden_layer_sizes=(6,), max_iter=30, random_state=0), "regression",
    ),
    "gaussian bayes": (GaussianNB(), "three"),
    "bernoulli bayes": (BernoulliNB(), "binary"),
}  # fmt: skip
# name → (class, parameters, task); from packages that need not be installed.
BOOSTERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "lightgbm": ("lightgbm.LGBMClassifier", {}, "binary"),
    "lightgbm, three classes": ("lightgbm.LGBMClassifier", {}, "three"),
    "lightgbm, one against all": (
        "lightgbm.LGBMClassifier", {"objective": "multiclassova", "sigmoid": 2.0}, "three",
    ),
    "lightgbm, dropping trees": ("lightgbm.LGBMClassifier", {"boosting_type": "dart"}, "binary"),
    "lightgbm, a forest": (
        "lightgbm.LGBMClassifier",
        {"boosting_type": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}, "three",
    ),
    "lightgbm, cross-entropy": (
        "lightgbm.LGBMClassifier", {"objective": "cross_entropy"}, "binary",
    ),
    "lightgbm regression": ("lightgbm.LGBMRegressor", {}, "regression"),
    "lightgbm, quantiles": ("lightgbm.LGBMRegressor", {"objective": "quantile"}, "regression"),
    "lightgbm, counts": ("lightgbm.LGBMRegressor", {"objective": "poisson"}, "counts"),
    "xgboost": ("xgboost.XGBClassifier", {}, "binary"),
    "xgboost, three classes": ("xgboost.XGBClassifier", {}, "three numbers"),
    "xgboost, pruned": (
        "xgboost.XGBClassifier", {"tree_method": "exact", "gamma": 5.0, "base_score": 0.2},
        "binary",
    ),
    "xgboost, a forest": ("xgboost.XGBRFClassifier", {}, "binary"),
    "xgboost regression": ("xgboost.XGBRegressor", {}, "regression"),
    "xgboost, counts": ("xgboost.XGBRegressor", {"objective": "count:poisson"}, "counts"),
    "xgboost, gamma": ("xgboost.XGBRegressor", {"objective": "reg:gamma"}, "counts"),
    "xgboost, shares": ("xgboost.XGBRegressor", {"objective": "reg:logistic"}, "binary"),
}  # fmt: skip
TEXTS = {
    "counted words": CountVectorizer(),
    "weighted words": TfidfVectorizer(),
    "weighted pairs of words": TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
    "shares of words": TfidfVectorizer(norm="l1", use_idf=False, lowercase=False),
}
RECIPES = {
    "recipe of a logistic regression": "sklearn.linear_model.LogisticRegression",
    "recipe of histograms": "sklearn.ensemble.HistGradientBoostingClassifier",
    "recipe of a forest": "sklearn.ensemble.RandomForestClassifier",
    "recipe of lightgbm": "lightgbm.LGBMClassifier",
    "recipe of xgboost": "xgboost.XGBClassifier",
}
# One of each algorithm and task: what `make test` proves. The others are breadth.
ONE_OF_EACH = (
    "logistic", "ridge", "tree", "forest, three classes", "boosting regression", "histograms",
    "network", "gaussian bayes", "weighted words", "recipe of histograms",
)  # fmt: skip
ENCODERS = {
    "one-hot": OneHotEncoder(handle_unknown="ignore"),
    "one-hot of the frequent": OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=60
    ),
    "one-hot that refuses": OneHotEncoder(),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
}


def each(*names: str) -> list[Any]:
    """Names as parameters of a test, marked as breadth but for one of each kind.

    The tests of a name run in one process, where `accelerated` has made its twin once.
    """
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.xdist_group(f"zoo {name}"),
                *([] if name in ONE_OF_EACH else [pytest.mark.breadth]),
            ],
        )
        for name in names
    ]


def family(name: str) -> tuple[Any, str]:
    """The estimator of a family, and its task; skips where its package is not installed."""
    if name in FAMILIES:
        return FAMILIES[name]
    path, params, task = BOOSTERS[name]
    return booster(path, **params), task


def booster(path: str, **params: Any) -> Any:
    """A small estimator of LightGBM or XGBoost."""
    module, _, kind = path.partition(".")
    need(module)
    return getattr(import_module(module), kind)(**{"n_estimators": 20, "verbosity": 0} | params)


def need(module: str) -> None:
    """Skip where a package is not installed; in CI it must be."""
    if "CI" not in os.environ:
        pytest.importorskip(module, reason=f"{module} is missing: see tests/frameworks.txt")


def table() -> pd.DataFrame:
    """Numbers (one sometimes missing), whole numbers, categories as text and as numbers."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "wind": rng.normal(size=ROWS) * 10,
            "gust": rng.normal(size=ROWS),
            "hour": rng.integers(0, 24, ROWS),
            "port": rng.choice(["JFK", "EWR", "Zürich", ""], ROWS),
            "gate": rng.integers(0, 4, ROWS),
        }
    )
    rows.loc[::7, "wind"] = np.nan
    return rows


def texts() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"said": [" ".join(rng.choice(WORDS, 5)) for _ in range(ROWS)]})


def truth(rows: pd.DataFrame, task: str) -> np.ndarray:
    rng = np.random.default_rng(1)
    value = rows["wind"].fillna(0) / 5 + rows["gust"] + (rows["port"] == "JFK") + rows["gate"] / 2
    value = (value + rng.normal(size=len(rows)) / 2).to_numpy()
    match task:
        case "binary":
            return (value > 0.5).astype(int)
        case "three":
            return np.array(["early", "late", "on time"])[np.digitize(value, [-0.5, 1.5])]
        case "three numbers":
            return np.digitize(value, [-0.5, 1.5])
        case "counts":
            return np.exp(value / 5)
    return value


def fit_table(estimator, task: str = "binary", *, encoder=None, numbers=None) -> Pipeline:
    """A pipeline of the estimator on `table()`; trees get numbers as they are."""
    kind = type(estimator).__name__
    missing = any(part in kind for part in ("Tree", "Forest", "Hist", "LGBM", "XGB"))
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    features = ColumnTransformer(
        [
            ("numbers", numbers or ("passthrough" if missing else scaled), ["wind", "gust"]),
            ("hours", "passthrough" if missing else MinMaxScaler(), ["hour"]),
            ("ports", clone(encoder or ENCODERS["one-hot"]), ["port"]),
            ("gates", OneHotEncoder(), ["gate"]),
        ]
    )
    rows = table()
    return make_pipeline(features, clone(estimator)).fit(rows, truth(rows, task))


def fit_text(vectorizer, estimator=None) -> Pipeline:
    features = ColumnTransformer([("said", clone(vectorizer), "said")])
    pipeline = make_pipeline(features, estimator or LogisticRegression())
    return pipeline.fit(texts(), np.arange(ROWS) % 3 == 0)


def by_recipe(estimator: str) -> tuple[pd.DataFrame, OriginalModel]:
    """Rows and the original as `cloche train` makes it, with a threshold of its own."""
    if not estimator.startswith("sklearn."):
        need(estimator.partition(".")[0])
    columns = {"numeric": ["wind", "gust", "hour"], "categorical": ["port", "gate"]}
    recipe = Recipe.model_validate(
        {
            "name": "zoo",
            "task": "binary",
            "data": {"source": "nowhere.csv"},
            "target": "late",
            "threshold": 0.4,
            "split": {"by": "fraction"},
            "columns": {role: tuple(names) for role, names in columns.items()},
            "estimator": {"class": estimator},
        }
    )
    rows = model_inputs(table(), recipe.columns)
    fitted = fit(recipe, rows, pd.Series(truth(rows, "binary")))
    return rows, original_from_fitted(fitted, make_signature(rows, fitted.predict(rows)))


@cache
def accelerated(name: str) -> tuple[OriginalModel, ProvenTwin, int]:
    """The original of a family, a text or a recipe, its twin, and how many rows it is proven on."""
    if name in RECIPES:
        rows, original = by_recipe(RECIPES[name])
    elif name in TEXTS:
        rows = texts()
        original = original_of(fit_text(TEXTS[name]), rows)
    else:
        rows = table()
        original = original_of(fit_table(*family(name)), rows)
    return original, make_proven_twin(original, rows), len(rows)


def original_of(pipeline: Pipeline, rows: pd.DataFrame, **options) -> OriginalModel:
    return original_from_estimator(
        pipeline, infer_signature(rows, pipeline.predict(rows)), **options
    )
