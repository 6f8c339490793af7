"""The OpenAPI paths of the protocols other than MLflow's."""

from typing import Any
from urllib.parse import quote

from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.openapi.protocol_metadata import tensors

JsonObject = dict[str, Any]

ERRORS: dict[str, JsonObject] = {
    "PlainError": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    },
    "TorchServeError": {
        "type": "object",
        "required": ["code", "type", "message"],
        "properties": {
            "code": {"type": "integer"},
            "type": {"type": "string"},
            "message": {"type": "string"},
        },
    },
}
_ANYTHING: JsonObject = {}


def of_model(model: ServedModel, failures: dict[str, str]) -> dict[str, JsonObject]:
    """The OpenAPI path items of a model, for predictions and metadata.

    Args:
        model: The served model.
        failures: The description of each status other than 200 that a prediction may have.
    """
    name = quote(model.name, safe="")
    signature = (model.current.description if model.current else {}).get("signature") or {}
    v2, v1 = f"/v2/models/{name}", f"/v1/models/{name}"
    plain, torchserve = _failures(failures, "PlainError"), _failures(failures, "TorchServeError")
    torch = _post(model, "TorchServe", _ANYTHING, torchserve)
    told: JsonObject = {code: plain[code] for code in ("401", "403", "404", "503") if code in plain}
    form = {code: {"description": failures[code]} for code in told}
    return {
        f"{v2}/infer": _post(model, "Open Inference Protocol", _v2(signature), plain, _BINARY),
        v2: _get("The model's metadata in the Open Inference Protocol.", told),
        f"{v2}/ready": _get("Whether the model can answer.", told),
        f"{v1}:predict": _post(model, "TensorFlow Serving, KServe V1", _V1, plain),
        v1: _get("The model's status in TensorFlow Serving's API.", told),
        f"{v1}/metadata": _get("The model's metadata in TensorFlow Serving's API.", told),
        f"/models/{name}/form": _get("What a form for one row is made of.", form),
        f"/predictions/{name}": torch | {"put": torch["post"]},
    }


def _get(text: str, failures: JsonObject) -> JsonObject:
    success = {"description": text, "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"get": {"summary": text, "responses": {"200": success, **failures}}}


def _post(
    model: ServedModel,
    protocol: str,
    schema: JsonObject,
    failures: JsonObject,
    binary: JsonObject | None = None,
) -> JsonObject:
    content = {"application/json": {}, **(binary or {})}
    return {
        "post": {
            "summary": f"Predictions of {model.name}: {protocol}",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema}},
            },
            "responses": {"200": {"description": "The predictions.", "content": content}}
            | failures,
        }
    }


def _failures(texts: dict[str, str], schema: str) -> JsonObject:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {code: {"description": text, "content": content} for code, text in texts.items()}


def _v2(signature: JsonObject) -> JsonObject:
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


_BINARY: JsonObject = {"application/octet-stream": {}}
_V1: JsonObject = {
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
