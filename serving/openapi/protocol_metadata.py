"""The metadata of a model in each protocol, derived from its MLflow signature. Pure."""

import json
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from cloche.serving.host.parsing.unnamed_columns import BARE_INPUT, names, side_by_side
from cloche.serving.openapi.json_schema import Spec, specs

_BARE_OUTPUT = "predict"
_DATATYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
}
_TENSOR_TYPES = {
    "bool": "BOOL",
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}
_TENSORFLOW = {
    "BOOL": "DT_BOOL",
    "BYTES": "DT_STRING",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
}
PLATFORM = "mlflow"


def server() -> dict[str, Any]:
    """The metadata of the server in the Open Inference Protocol."""
    return {
        "name": "cloche",
        "version": metadata.version("cloche"),
        "extensions": ["binary_tensor_data"],
    }


def tensors(signature: Spec, side: str) -> list[dict[str, Any]]:
    """Inputs or outputs as tensors of the Open Inference Protocol; -1 stands for any length."""
    found = specs(signature, side)
    bare = BARE_INPUT if side == "inputs" else _BARE_OUTPUT
    types = [spec.get("type", "") for spec in found]
    if not found or "name" in found[0] or "tensor" in types:
        return [_tensor(spec, bare) for spec in found]
    if side == "inputs":
        if side_by_side(types):
            return [{**_tensor(found[0], bare), "shape": [-1, len(found)]}]
        named = zip(found, names(len(found), bare), strict=True)
        return [_tensor(spec, name) for spec, name in named]
    if len(found) == 1:
        return [_tensor(found[0], bare)]
    datatypes = {_column(spec)[0] for spec in found}
    datatype = datatypes.pop() if len(datatypes) == 1 else "BYTES"
    return [{"name": bare, "datatype": datatype, "shape": [-1, len(found)]}]


def _tensor(spec: Spec, bare: str) -> dict[str, Any]:
    if spec.get("type") == "tensor":
        tensor = spec["tensor-spec"]
        datatype, shape = _TENSOR_TYPES.get(tensor["dtype"], "BYTES"), list(tensor["shape"])
    else:
        datatype, shape = _column(spec)
    return {"name": spec.get("name", bare), "datatype": datatype, "shape": shape}


def _column(spec: Spec) -> tuple[str, list[int]]:
    """The datatype and shape of a column.

    Lists of plain values have an axis for each level; other nested types are JSON in BYTES.
    """
    shape, kind = [-1], spec
    while kind.get("type") == "array":
        kind = kind["items"]
        shape.append(-1)
    plain = kind.get("type") in (*_DATATYPES, "string")
    return _DATATYPES.get(kind.get("type", ""), "BYTES"), shape if plain else [-1]


def open_inference(name: str, version: str, signature: Spec) -> dict[str, Any]:
    """The metadata of a model in the Open Inference Protocol."""
    return {
        "name": name,
        "versions": [version] if version else [],  # a model from a path has no version
        "platform": PLATFORM,
        "inputs": tensors(signature, "inputs"),
        "outputs": tensors(signature, "outputs"),
    }


def form(version: str, description: dict[str, Any]) -> dict[str, Any]:
    """The data for a form with one row: the signature, an example, and usual values."""
    signature = description.get("signature") or {}
    sides = {side: specs(signature, side) for side in ("inputs", "params", "outputs")}
    example = description.get("example")
    told = {
        "version": version,
        **sides,
        "example": json.loads(example) if example else None,
        "usual": description.get("usual", {}),
    }
    # JSON in browsers has no NaN, which an example or a default may hold
    plain: dict[str, Any] = json.loads(json.dumps(told), parse_constant=lambda _: None)
    return plain


def tensorflow_status(name: str, version: str) -> dict[str, Any]:
    """The status of a model that serves, for TensorFlow Serving's clients and for KServe's."""
    state = {
        "version": version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return {"name": name, "ready": True, "model_version_status": [state]}


def tensorflow_metadata(name: str, version: str, signature: Spec) -> dict[str, Any]:
    """The metadata of a model in TensorFlow Serving's REST API."""
    one = {
        "inputs": _tensor_infos(tensors(signature, "inputs")),
        "outputs": _tensor_infos(tensors(signature, "outputs")),
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {"serving_default": one}}},
    }


def _tensor_infos(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {
        one["name"]: {
            "dtype": _TENSORFLOW.get(one["datatype"], f"DT_{one['datatype']}"),
            "tensor_shape": {
                "dim": [{"size": str(axis), "name": ""} for axis in one["shape"]],
                "unknown_rank": False,
            },
            "name": one["name"],
        }
        for one in found
    }
