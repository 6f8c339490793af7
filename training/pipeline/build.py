"""Builds the unfitted pipeline of a recipe: preprocessing by role, then the estimator."""

import importlib
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import get_tags

from cloche.training.pipeline.scorer import DATETIME_PARTS
from cloche.training.recipe.schema import Recipe
from cloche.training.recipe.sections import Text


def build_pipeline(recipe: Recipe, **params: Any) -> Pipeline:
    """Build the pipeline that `recipe` describes.

    Returns:
        An unfitted pipeline with the steps `features` and `model`; its input is the output of
        `scorer.prepare`.
    """
    estimator = make_estimator(recipe, **params)
    return Pipeline([("features", _preprocessing(recipe, estimator)), ("model", estimator)])


def make_estimator(recipe: Recipe, **params: Any) -> Any:
    """Make the recipe's estimator, with the recipe's seed if it takes one."""
    module, _, name = recipe.estimator.class_.rpartition(".")
    estimator = getattr(importlib.import_module(module), name)(
        **{**recipe.estimator.params, **params}
    )
    if "random_state" in estimator.get_params() and estimator.random_state is None:
        estimator.set_params(random_state=recipe.seed)
    return estimator


def _preprocessing(recipe: Recipe, estimator: Any) -> ColumnTransformer:
    """Encode each role as the estimator needs it.

    Estimators that accept missing values (trees) get unchanged numbers and ordinal codes for
    categories; all others get imputed and scaled numbers and one-hot categories.
    """
    takes_missing = get_tags(estimator).input_tags.allow_nan
    encoding = recipe.estimator.categories
    if encoding == "auto":
        encoding = "ordinal" if takes_missing else "onehot"
    columns = recipe.columns
    moments = [f"{name}_{part}" for name in columns.datetime for part in DATETIME_PARTS]
    numbers = [*columns.numeric, *moments]
    steps: list[tuple[str, Any, Any]] = []
    if numbers:
        scaled = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
        )
        steps.append(("numbers", "passthrough" if takes_missing else scaled, numbers))
    if columns.categorical:
        steps.append(("categories", _category_encoder(encoding), list(columns.categorical)))
    steps += [(f"text_{name}", _vectorizer(recipe.text), name) for name in columns.text]
    sparse = get_tags(estimator).input_tags.sparse
    return ColumnTransformer(steps, sparse_threshold=0.3 if sparse else 0.0)


def _category_encoder(encoding: str) -> Any:
    if encoding == "ordinal":
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10)


def _vectorizer(text: Text) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer=text.analyzer,
        ngram_range=text.ngrams,
        max_features=text.max_features,
        min_df=text.min_count,
        lowercase=text.lowercase,
        sublinear_tf=text.sublinear_tf,
    )
