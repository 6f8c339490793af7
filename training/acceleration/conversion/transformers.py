"""ONNX converters of transformers for which skl2onnx 1.20 has float32 only, or another formula."""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from skl2onnx.operator_converters.common import concatenate_variables

from cloche.training.acceleration.conversion.onnx_nodes import constant, writer
from cloche.training.errors import TwinRefused


def shape(operator: Any) -> None:
    """Declare to skl2onnx that a transformer returns float64, one column for each input column."""
    rows = operator.inputs[0].get_first_dimension()
    columns = sum(one.type.shape[1] for one in operator.inputs)
    operator.outputs[0].type = DoubleTensorType([rows, columns])


def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Convert a SimpleImputer of numbers.

    Raises:
        TwinRefused: The imputer fills text or another value than NaN, or changes the number of
            columns.
    """
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
    node = writer(scope, container)
    values = concatenate_variables(scope, operator.inputs, container)
    values = node("Cast", [values], to=TensorProto.DOUBLE)
    node(
        "Where",
        [node("IsNaN", [values]), constant(scope, container, filled[None, :]), values],
        output=operator.outputs[0].full_name,
    )


def convert_tfidf(scope: Any, operator: Any, container: Any) -> None:
    """Convert a TfidfTransformer: skl2onnx has log(1 + count), scikit-learn has 1 + log(count).

    Raises:
        TwinRefused: The transformer uses a norm that scikit-learn does not have today.
    """
    transformer = operator.raw_operator
    node = writer(scope, container)
    zero, one = (constant(scope, container, value) for value in (0.0, 1.0))
    values = node("Cast", [operator.inputs[0].full_name], to=TensorProto.DOUBLE)
    if transformer.sublinear_tf:
        logs = node("Add", [node("Log", [node("Max", [values, one])]), one])
        values = node("Where", [node("Greater", [values, zero]), logs, zero])
    if transformer.use_idf:
        values = node("Mul", [values, constant(scope, container, transformer.idf_[None, :])])
    output = operator.outputs[0].full_name
    if transformer.norm is None:
        node("Identity", [values], output=output)
        return
    kinds = {"l1": "ReduceL1", "l2": "ReduceL2"}
    if transformer.norm not in kinds:
        raise TwinRefused(f"TfidfTransformer normalises by {transformer.norm!r}")
    axis = str(scope.get_unique_variable_name("axis"))
    container.add_initializer(axis, TensorProto.INT64, [1], [1])
    norms = node(kinds[transformer.norm], [values, axis], keepdims=1)
    norms = node("Where", [node("Greater", [norms, zero]), norms, one])
    node("Div", [values, norms], output=output)
