"""Converts a pipeline to an ONNX graph whose only output is scores, in float64 where possible."""

import warnings
from collections.abc import Callable, Iterable
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx.compose import add_prefix
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from cloche.training.acceleration.conversion import transformers, trees
from cloche.training.acceleration.conversion.supported_estimators import leaves
from cloche.training.acceleration.original_model import OriginalModel
from cloche.training.errors import TwinRefused

OPSETS = {"": 20, "ai.onnx.ml": 3}
_TENSORS: dict[str, Callable[[list[int | None]], Any]] = {
    "double": DoubleTensorType,
    "int64": Int64TensorType,
    "string": StringTensorType,
}
# The words of scikit-learn's default token pattern, for text of printable ASCII.
WORDS = "[a-zA-Z0-9_][a-zA-Z0-9_]+"
_DEFAULT_PATTERN = r"(?u)\b\w\w+\b"


def convert(original: OriginalModel) -> onnx.ModelProto:
    """Convert the whole pipeline.

    Returns:
        A graph with one input for each column of the signature, named like the column, of shape
        (rows, 1), and one output `scores`.

    Raises:
        TwinRefused: There is no converter, or the converter failed; the message gives the reason.
    """
    estimator = _with_columns(original)
    *before, last = (step for _, step in estimator.steps)
    kinds = (type(last),) if trees.consists_of_trees(last) else ()
    write_trees = partial(trees.convert, sparse=_is_sparse(before))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the proof checks the converter's result anyway
            model = convert_sklearn(
                estimator,
                name="twin",
                initial_types=[
                    (one.column, _TENSORS[one.tensor]([None, 1])) for one in original.inputs
                ],
                target_opset=OPSETS,
                options=_options(estimator),
                custom_conversion_functions={
                    SimpleImputer: transformers.convert_imputer,
                    TfidfTransformer: transformers.convert_tfidf,
                    **dict.fromkeys(kinds, write_trees),
                },
                custom_shape_calculators={
                    SimpleImputer: transformers.shape,
                    TfidfTransformer: transformers.shape,
                    **dict.fromkeys(kinds, trees.shape),
                },
                custom_parsers=dict.fromkeys(kinds, trees.parse),
            )
    except TwinRefused:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise TwinRefused(f"skl2onnx failed: {type(error).__name__}: {lines[0][:200]}") from error
    return _only_scores(_named(model, [one.column for one in original.inputs]))


def _named(model: onnx.ModelProto, columns: list[str]) -> onnx.ModelProto:
    """Give the graph's inputs the columns' names, which skl2onnx changed to identifiers.

    Intermediate tensors get a prefix, so that none of them has the name of a column.
    """
    named: onnx.ModelProto = add_prefix(model, "cloche:", rename_inputs=False)
    given = dict(zip((one.name for one in named.graph.input), columns, strict=True))
    for one in named.graph.input:
        one.name = given[one.name]
    for node in named.graph.node:
        node.input[:] = [given.get(name, name) for name in node.input]
    return named


def _with_columns(original: OriginalModel) -> Pipeline:
    """Return a pipeline that selects columns by name and gives its estimator float64."""
    found = _split(original.pipeline)
    steps = [step for _, step in found.steps] if isinstance(found, Pipeline) else [found]
    if not isinstance(steps[0], ColumnTransformer):
        names = [one.column for one in original.inputs]
        rows = pd.DataFrame([[0.0] * len(names)], columns=names)
        steps.insert(0, ColumnTransformer([("columns", "passthrough", names)]).fit(rows))
    return make_pipeline(*steps[:-1], CastTransformer(dtype=np.float64), steps[-1])


def _is_sparse(steps: Iterable[Any]) -> bool:
    """Return whether the output of the last step is a sparse matrix."""
    sparse = False
    for step in steps:
        if isinstance(step, Pipeline):
            sparse = _is_sparse(one for _, one in step.steps)
        elif isinstance(step, FeatureUnion):
            sparse = any(_is_sparse([one]) for _, one in step.transformer_list)
        elif isinstance(step, ColumnTransformer):
            sparse = step.sparse_output_
        elif isinstance(step, OneHotEncoder | OrdinalEncoder):
            sparse = getattr(step, "sparse_output", False)
    return sparse


def _split(estimator: Any) -> Any:
    """Return the estimator with each TfidfVectorizer replaced by its two equivalent steps."""
    if isinstance(estimator, TfidfVectorizer):
        mine = estimator.get_params()
        counts = CountVectorizer(**{k: mine[k] for k in CountVectorizer().get_params()})
        counts.vocabulary_ = estimator.vocabulary_
        return make_pipeline(counts, estimator._tfidf)
    if isinstance(estimator, Pipeline):
        return Pipeline([(name, _split(step)) for name, step in estimator.steps])
    if isinstance(estimator, ColumnTransformer):
        changed = copy(estimator)
        changed.transformers_ = [(n, _split(step), c) for n, step, c in estimator.transformers_]
        return changed
    return estimator


def _options(estimator: Pipeline) -> dict[int, dict[str, Any]]:
    options: dict[int, dict[str, Any]] = {}
    for one in leaves(estimator):
        if isinstance(one, CountVectorizer):
            options[id(one)] = {"tokenexp": _words(one), "locale": "C"}
    last = estimator.steps[-1][1]
    if is_classifier(last):  # without an entry, skl2onnx requests `zipmap` from unknown classes too
        options[id(last)] = {} if trees.consists_of_trees(last) else {"zipmap": False}
    return options


def _words(vectorizer: Any) -> str:
    if vectorizer.token_pattern != _DEFAULT_PATTERN or vectorizer.tokenizer is not None:
        raise TwinRefused("it cuts words by a pattern of its own, which ONNX may read otherwise")
    if vectorizer.preprocessor is not None or vectorizer.strip_accents is not None:
        raise TwinRefused("it prepares text by a function of its own")
    return WORDS


def _only_scores(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep the output that holds the scores: the second of two, because the first holds labels."""
    name = model.graph.output[-1].name
    extractor = onnx.utils.Extractor(model)
    inputs = [one.name for one in model.graph.input]
    needed: onnx.ModelProto = extractor.extract_model(inputs, [name])
    # An unknown category must not fail the whole batch: the domain declines it row by row.
    for node in needed.graph.node:
        for attribute in node.attribute:
            if node.op_type == "OneHotEncoder" and attribute.name == "zeros":
                attribute.i = 1
    return needed
