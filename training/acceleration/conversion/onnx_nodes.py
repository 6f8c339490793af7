"""Adds nodes and constants to a graph that skl2onnx is writing."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto


def writer(scope: Any, container: Any) -> Callable[..., str]:
    """Return a function that adds a node to the graph and returns the name of its output."""

    def node(
        kind: str,
        inputs: list[str],
        *,
        output: str | None = None,
        domain: str = "",
        version: int | None = None,
        **attributes: Any,
    ) -> str:
        name = output or str(scope.get_unique_variable_name(kind.lower()))
        container.add_node(
            kind,
            inputs,
            [name],
            op_domain=domain,
            op_version=version or container.target_opset_any_domain(domain),
            name=scope.get_unique_operator_name(kind),
            **attributes,
        )
        return name

    return node


def constant(scope: Any, container: Any, value: Any) -> str:
    """Add a float64 constant of shape (1,) or the shape of `value`, and return its name."""
    values = np.atleast_1d(np.asarray(value, dtype=np.float64))
    name = str(scope.get_unique_variable_name("constant"))
    container.add_initializer(name, TensorProto.DOUBLE, list(values.shape), values.ravel())
    return name
