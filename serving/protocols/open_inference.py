"""The Open Inference Protocol, which KServe and Triton call V2, over HTTP and gRPC."""

import json
import re
from importlib import metadata as distribution
from typing import Any

from cloche.serving.host.parsing.unnamed_columns import BARE_INPUT, names, side_by_side
from cloche.serving.protocols.json_schema import Spec, specs
from cloche.serving.protocols.protocol import (
    JsonObject,
    ModelPath,
    Protocol,
    ServerPath,
    metadata,
    predictions,
)
from cloche.serving.web.asgi import HttpError

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
_TITLE = "Open Inference Protocol"
_MESSAGE_BYTES_PER_ROW = 256
_FIRST_SHAPE = re.compile(rb'"shape"\s*:\s*\[\s*([0-9]{1,9})')
ERROR_SCHEMA: tuple[str, JsonObject] = ("PlainError", {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
})  # fmt: skip


def error(error: HttpError) -> bytes:
    """The body that reports an error over HTTP."""
    return json.dumps({"error": str(error)}).encode()


def server_metadata() -> JsonObject:
    """The metadata of the server."""
    return {
        "name": "cloche",
        "version": distribution.version("cloche"),
        "extensions": ["binary_tensor_data"],
    }


def model_metadata(name: str, version: str, description: JsonObject) -> JsonObject:
    """The metadata of a model."""
    signature = description.get("signature") or {}
    return {
        "name": name,
        "versions": [version] if version else [],  # a model from a path has no version
        "platform": "mlflow",
        "inputs": tensors(signature, "inputs"),
        "outputs": tensors(signature, "outputs"),
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


def _rows(_: str, body: bytes) -> int:
    """An estimate of the rows in a body over HTTP, from the first axis of the first tensor."""
    shape = _FIRST_SHAPE.search(body)
    return max(1, min(int(shape[1]), len(body))) if shape else 1


def _message_rows(_: str, body: bytes) -> int:
    """An estimate of the rows in a message of gRPC, from its length."""
    return max(1, len(body) // _MESSAGE_BYTES_PER_ROW)


def _predictions(name: str, description: JsonObject, failures: JsonObject) -> JsonObject:
    return predictions(
        f"{name}: {_TITLE}",
        {"application/json": {"schema": _request(description.get("signature") or {})}},
        failures,
        {"application/json": {}, "application/octet-stream": {}},
    )


def _request(signature: JsonObject) -> JsonObject:
    """The schema of a request with a tensor for each input of the signature."""
    found = tensors(signature, "inputs")
    named = {"enum": [one["name"] for one in found]} if found else {"type": "string"}
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": named,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string"},
            "parameters": {"type": "object"},
            "data": {"type": "array"},
        },
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "minItems": 1, "items": tensor},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
                },
            },
        },
    }


OPEN_INFERENCE = Protocol(
    name="open_inference",
    title=_TITLE,
    error=error,
    error_schema=ERROR_SCHEMA,
    bases=("/v2/models/{name}", "/v2/models/{name}/versions/{version}"),
    model_paths=(
        ModelPath("/infer", _predictions),
        ModelPath(
            "", metadata("The model's metadata in the Open Inference Protocol."), model_metadata
        ),
        ModelPath(  # a model that serves no version answers 503
            "/ready", metadata("Whether the model can answer."),
            lambda name, *_: {"name": name, "ready": True},
        ),
    ),
    server_paths=(
        ServerPath(
            "/v2/health/live", "As /livez, in the Open Inference Protocol.",
            lambda *_: {"live": True}, is_probe=True,
        ),
        ServerPath(
            "/v2/health/ready", "As /ping, in the Open Inference Protocol.",
            lambda ready, _: {"ready": ready}, is_probe=True, is_readiness=True,
        ),
        ServerPath(
            "/v2", "The server in the Open Inference Protocol.", lambda *_: server_metadata()
        ),
    ),
    rows=_rows,
    has_binary_data=True,
)  # fmt: skip
OPEN_INFERENCE_GRPC = Protocol(name="open_inference_grpc", error=error, rows=_message_rows)
