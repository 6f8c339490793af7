"""TensorFlow Serving's REST API, which KServe calls V1."""

from collections.abc import Iterable
from typing import Any

from cloche.serving.protocols.open_inference import ERROR_SCHEMA, error, tensors
from cloche.serving.protocols.protocol import (
    JsonObject,
    ModelPath,
    Protocol,
    ServerPath,
    metadata,
    predictions,
)

_TITLE = "TensorFlow Serving, KServe V1"
_DTYPES = {
    "BOOL": "DT_BOOL",
    "BYTES": "DT_STRING",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
}
_REQUEST: JsonObject = {
    "description": "An object with exactly one of instances and inputs.",
    "oneOf": [
        {
            "type": "object",
            "required": [layout],
            "properties": {layout: {}, "signature_name": {"type": "string"}},
        }
        for layout in ("instances", "inputs")
    ],
}


def status(name: str, version: str, _: JsonObject) -> JsonObject:
    """The status of a model that serves, for TensorFlow Serving's clients and for KServe's."""
    state = {
        "version": version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return {"name": name, "ready": True, "model_version_status": [state]}


def model_metadata(name: str, version: str, description: JsonObject) -> JsonObject:
    """The metadata of a model: its inputs and outputs as TensorFlow's tensors."""
    signature = description.get("signature") or {}
    one = {
        "inputs": _tensor_infos(tensors(signature, "inputs")),
        "outputs": _tensor_infos(tensors(signature, "outputs")),
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {"serving_default": one}}},
    }


def _tensor_infos(found: Iterable[dict[str, Any]]) -> JsonObject:
    return {
        one["name"]: {
            "dtype": _DTYPES.get(one["datatype"], f"DT_{one['datatype']}"),
            "tensor_shape": {
                "dim": [{"size": str(axis), "name": ""} for axis in one["shape"]],
                "unknown_rank": False,
            },
            "name": one["name"],
        }
        for one in found
    }


def _predictions(name: str, _: JsonObject, failures: JsonObject) -> JsonObject:
    return predictions(f"{name}: {_TITLE}", {"application/json": {"schema": _REQUEST}}, failures)


TF_SERVING = Protocol(
    name="tf_serving",
    title=_TITLE,
    error=error,
    error_schema=ERROR_SCHEMA,
    bases=(
        "/v1/models/{name}",
        "/v1/models/{name}/versions/{version}",
        "/v1/models/{name}/labels/{label}",
    ),
    model_paths=(
        ModelPath(":predict", _predictions),
        ModelPath("", metadata("The model's status in TensorFlow Serving's API."), status),
        ModelPath(
            "/metadata", metadata("The model's metadata in TensorFlow Serving's API."),
            model_metadata,
        ),
    ),
    server_paths=(
        ServerPath(
            "/v1/models", "The names of the models, for KServe's V1 clients.",
            lambda _, names: {"models": names},
        ),
    ),
    unknown_verb=(
        "A model of V1 is asked by :predict; :explain, :classify and :regress are not offered."
    ),
)  # fmt: skip
