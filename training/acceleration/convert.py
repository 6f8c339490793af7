"""From an original to an ONNX graph with one output, the scores, in float64 where ONNX can."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import (
    DoubleTensorType,
    Int64TensorType,
    StringTensorType,
)
from skl2onnx.operator_converters.common import concatenate_variables
from skl2onnx.sklapi import CastTransformer
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline

from training.acceleration import trees
from training.acceleration.families import leaves
from training.acceleration.original import Original
from training.errors import TwinRefused

OPSETS = {"": 20, "ai.onnx.ml": 3}
_TENSORS: dict[str, Callable[[list[int | None]], Any]] = {
    "double": DoubleTensorType,
    "int64": Int64TensorType,
    "string": StringTensorType,
}
# Words of scikit-learn's default pattern, in the domain of plain ASCII.
WORDS = "[a-zA-Z0-9_][a-zA-Z0-9_]+"
_DEFAULT_PATTERN = r"(?u)\b\w\w+\b"
_VECTORIZERS = (CountVectorizer, TfidfVectorizer)


def convert(original: Original) -> onnx.ModelProto:
    """Convert the whole pipeline.

    Returns:
        A graph with one input for each column of the signature, by the column's name, of shape
        (rows, 1), and one output `scores`.

    Raises:
        TwinRefused: there is no converter, or it failed; the message is its reason.
    """
    estimator = _with_columns(original)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a converter whose result is proven anyway
            model = convert_sklearn(
                estimator,
                name="twin",
                initial_types=[
                    (one.column, _TENSORS[one.tensor]([None, 1])) for one in original.inputs
                ],
                target_opset=OPSETS,
                options=_options(estimator),
                custom_conversion_functions={
                    SimpleImputer: _impute,
                    **dict.fromkeys(trees.TREES, trees.convert),
                },
                custom_shape_calculators={
                    SimpleImputer: _imputed_shape,
                    **dict.fromkeys(trees.TREES, trees.shape),
                },
                custom_parsers=dict.fromkeys(trees.TREES, trees.parse),
            )
    except TwinRefused:
        raise
    except Exception as error:  # noqa: BLE001 (a converter may fail in any way: no twin, then)
        lines = str(error).strip().splitlines() or [""]
        raise TwinRefused(f"skl2onnx failed: {type(error).__name__}: {lines[0][:200]}") from error
    return _only_scores(model)


def _with_columns(original: Original) -> Pipeline:
    """A pipeline that begins with columns by name and gives its estimator float64."""
    found = original.pipeline
    steps = [step for _, step in found.steps] if isinstance(found, Pipeline) else [found]
    if not isinstance(steps[0], ColumnTransformer):
        names = [one.column for one in original.inputs]
        rows = pd.DataFrame([[0.0] * len(names)], columns=names)
        steps.insert(0, ColumnTransformer([("columns", "passthrough", names)]).fit(rows))
    return make_pipeline(*steps[:-1], CastTransformer(dtype=np.float64), steps[-1])


def _options(estimator: Pipeline) -> dict[int, dict[str, Any]]:
    options: dict[int, dict[str, Any]] = {}
    for one in leaves(estimator):
        if isinstance(one, _VECTORIZERS):
            options[id(one)] = {"tokenexp": _words(one), "locale": "C"}
    last = estimator.steps[-1][1]
    if is_classifier(last) and not isinstance(last, trees.TREES):
        options[id(last)] = {"zipmap": False}
    return options


def _words(vectorizer: Any) -> str:
    if vectorizer.token_pattern != _DEFAULT_PATTERN or vectorizer.tokenizer is not None:
        raise TwinRefused("it cuts words by a pattern of its own, which ONNX may read otherwise")
    if vectorizer.preprocessor is not None or vectorizer.strip_accents is not None:
        raise TwinRefused("it prepares text by a function of its own")
    return WORDS


def _only_scores(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep the output that holds scores: of two, the second; the first are labels."""
    name = model.graph.output[-1].name
    extractor = onnx.utils.Extractor(model)
    inputs = [one.name for one in model.graph.input]
    needed: onnx.ModelProto = extractor.extract_model(inputs, [name])
    for node in needed.graph.node:  # the domain declines unknown categories, row by row
        for attribute in node.attribute:
            if node.op_type == "OneHotEncoder" and attribute.name == "zeros":
                attribute.i = 1
    return needed


def _impute(scope: Any, operator: Any, container: Any) -> None:
    """SimpleImputer for numbers in float64; skl2onnx 1.20 fills float32 only."""
    imputer = operator.raw_operator
    if isinstance(operator.inputs[0].type, StringTensorType):
        raise TwinRefused("SimpleImputer fills text")
    if not (isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)):
        raise TwinRefused(f"SimpleImputer fills {imputer.missing_values!r}, not NaN")
    if imputer.add_indicator:
        raise TwinRefused("SimpleImputer adds an indicator of missing values")
    filled = np.asarray(imputer.statistics_, dtype=np.float64)
    if np.isnan(filled).any():
        raise TwinRefused("SimpleImputer drops columns that were empty in training")
    values = concatenate_variables(scope, operator.inputs, container)
    double, missing, constant = (
        str(scope.get_unique_variable_name(name)) for name in ("double", "missing", "filled")
    )
    container.add_initializer(constant, TensorProto.DOUBLE, [1, len(filled)], filled)
    for kind, inputs, output, more in (
        ("Cast", [values], double, {"to": TensorProto.DOUBLE}),
        ("IsNaN", [double], missing, {}),
        ("Where", [missing, constant, double], operator.outputs[0].full_name, {}),
    ):
        name = scope.get_unique_operator_name(kind)
        container.add_node(kind, inputs, [output], op_version=13, name=name, **more)


def _imputed_shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = DoubleTensorType([rows, len(operator.raw_operator.statistics_)])
