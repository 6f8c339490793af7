"""The OpenAPI document of a server: its paths, request bodies and possible answers."""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.openapi import protocol_paths
from cloche.serving.openapi.json_schema import request_schema

_ERROR = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        "columns": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The columns that the message is about; absent where there are none.",
        },
        "row": {
            "type": "integer",
            "description": "The position of the row that it is about, from 0; absent likewise.",
        },
        "expected": {
            "type": "string",
            "description": "The plain type of that column in the signature; absent likewise.",
        },
    },
}
_READY = {"type": "object", "required": ["ready", "models"]}
_FAILURES = {
    "400": "The request does not fit the model.",
    "404": "There is no such model, version or path.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The content type or encoding is not taken.",
    "429": "Too many requests wait already; Retry-After says when to come back.",
    "500": "The model's answer cannot be written.",
    "503": "No replica can answer now.",
    "504": "There was no answer in time.",
}
_KEYLESS = "An API key is asked for, and none of them was sent."
_ELSEWHERE = "The Host header has a name that the server is not known by."
_BEARER = {"type": "http", "scheme": "bearer"}
# path: summary, media type, and the schema of its 503 answer; None if it never answers 503
_PROBES: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "/livez": ("The server runs.", "text/plain", None),
    "/readyz": ("Every followed model can answer; otherwise 503.", "application/json", _READY),
    "/": ("What serves, live, and a form to ask it: a page for people.", "text/html", None),
    "/ping": ("As /readyz, without words.", "application/json", {}),
    "/health": ("As /ping.", "application/json", {}),
    "/v2/health/live": ("As /livez, in the Open Inference Protocol.", "application/json", None),
    "/v2/health/ready": ("As /ping, in the Open Inference Protocol.", "application/json", {}),
}
_PAGES: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "/version": ("The MLflow version of the model hosts.", "text/plain", {}),
    "/metrics": ("Metrics for Prometheus.", "text/plain", None),
    "/openapi.json": ("This document.", "application/json", None),
    "/docs": ("This document for people.", "text/html", None),
    "/status.json": ("What the page at / shows.", "application/json", None),
    "/v2": ("The server in the Open Inference Protocol.", "application/json", None),
    "/v1/models": ("The names of the models, for KServe's V1 clients.", "application/json", None),
}


_CHOSEN = {
    "name": "model",
    "in": "query",
    "description": "The one that is told of at length; the only one, if there are no others.",
    "schema": {"type": "string"},
}


def document(models: Iterable[ServedModel], *, guarded: bool, named: bool) -> dict[str, Any]:
    """The OpenAPI document of a server with these models.

    Args:
        models: The served models.
        guarded: Whether the server requires API keys.
        named: Whether the server refuses some Host headers.
    """
    served = list(models)
    paths: dict[str, Any] = {path: {"get": _page(*told)} for path, told in _PROBES.items()}
    key: dict[str, Any] = {"security": [{"key": []}]} if guarded else {}
    refusals = ({"401": _KEYLESS} if guarded else {}) | ({"403": _ELSEWHERE} if named else {})
    for path, told in _PAGES.items():
        page = _page(*told)
        schema = "PlainError" if path.startswith(("/v1", "/v2")) else "Error"
        page["responses"] |= {
            code: _failure(text, schema=schema) for code, text in refusals.items()
        }
        paths[path] = {"get": page | key}
    paths["/status.json"]["get"]["parameters"] = [_CHOSEN]
    for model in served:
        operation = _operation(model) | key
        operation["responses"] |= {code: _failure(text) for code, text in refusals.items()}
        paths[f"/models/{quote(model.name, safe='')}/invocations"] = {"post": operation}
        if len(served) == 1:
            paths["/invocations"] = {"post": operation | {"operationId": "predict"}}
        for path, methods in protocol_paths.of_model(model, _FAILURES | refusals).items():
            paths[path] = {method: one | key for method, one in methods.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cloche", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, **protocol_paths.ERRORS},
            **({"securitySchemes": {"key": _BEARER}} if guarded else {}),
        },
    }


def _page(text: str, media_type: str, unready: dict[str, Any] | None) -> dict[str, Any]:
    responses = {"200": {"description": text, "content": {media_type: {}}}}
    if unready is not None:
        content = {"application/json": {"schema": unready}}
        responses["503"] = {"description": "Not ready.", "content": content}
    return {"summary": text, "responses": responses}


def _operation(model: ServedModel) -> dict[str, Any]:
    description = model.current.description if model.current else {}
    signature = description.get("signature") or {}
    hinted = bool(description.get("type_hints"))
    content: dict[str, Any] = {"schema": request_schema(signature, hinted=hinted)}
    if description.get("example"):
        content["example"] = json.loads(description["example"])
    wrapped = {"type": "object", "required": ["predictions"], "properties": {"predictions": {}}}
    answer = wrapped if signature.get("inputs") else {}  # without inputs, answers may be unwrapped
    return {
        "summary": f"Predictions of {model.name}",
        "operationId": f"predict-{model.name}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": content,
                "text/csv": {"schema": {"type": "string"}},
                "application/vnd.apache.parquet": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": {
                "description": "The predictions.",
                "content": {"application/json": {"schema": answer}},
            },
            **{code: _failure(text) for code, text in _FAILURES.items()},
            "415": _failure(_FAILURES["415"], {"text/plain": {}}),
        },
    }


def _failure(
    text: str, also: dict[str, Any] | None = None, *, schema: str = "Error"
) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, "content": error | (also or {})}
