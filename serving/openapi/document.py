"""The OpenAPI document of a server: its paths, request bodies and possible answers."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.protocols.catalog import PROTOCOLS
from cloche.serving.protocols.mlflow import MLFLOW
from cloche.serving.protocols.protocol import Protocol

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
}
_PAGES: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "/version": ("The MLflow version of the model hosts.", "text/plain", {}),
    "/metrics": ("Metrics for Prometheus.", "text/plain", None),
    "/openapi.json": ("This document.", "application/json", None),
    "/docs": ("This document for people.", "text/html", None),
    "/status.json": ("What the page at / shows.", "application/json", None),
}


_CHOSEN = {
    "name": "model",
    "in": "query",
    "description": "The model to describe in detail; by default the only one.",
    "schema": {"type": "string"},
}


_LABEL = {
    "type": "object",
    "properties": {
        "prediction_id": {"type": "string", "description": "The caller's id of the prediction."},
        "request_id": {"type": "string", "description": "In its place the id of the request."},
        "row": {"type": "integer", "minimum": 0, "description": "The row within the request."},
        "label": {"type": ["string", "number", "boolean"], "description": "The true value."},
        "time": {"type": "string", "format": "date-time", "description": "When it became known."},
        "retract": {"type": "boolean", "description": "Take the label back."},
    },
    "additionalProperties": False,
}
_LABELS = {
    "type": "object",
    "required": ["labels"],
    "properties": {"labels": {"type": "array", "minItems": 1, "items": _LABEL}},
    "additionalProperties": False,
}


def document(
    models: Iterable[ServedModel], *, guarded: bool, named: bool, logged: bool = False
) -> dict[str, Any]:
    """The OpenAPI document of a server with these models, which takes labels if it is logged."""
    served = list(models)
    key: dict[str, Any] = {"security": [{"key": []}]} if guarded else {}
    refusals = ({"401": _KEYLESS} if guarded else {}) | ({"403": _ELSEWHERE} if named else {})
    paths: dict[str, Any] = {path: {"get": _page(*args)} for path, args in _PROBES.items()}
    pages = {path: (MLFLOW, _page(*args)) for path, args in _PAGES.items()}
    for protocol in PROTOCOLS:
        for path, summary, _, is_probe, is_readiness in protocol.server_paths:
            page = _page(summary, "application/json", {} if is_readiness else None)
            if is_probe:
                paths[path] = {"get": page}
            else:
                pages[path] = (protocol, page)
    for path, (protocol, page) in pages.items():
        page["responses"] |= _failures(protocol, refusals)
        paths[path] = {"get": page | key}
    paths["/status.json"]["get"]["parameters"] = [_CHOSEN]
    for model in served:
        for path, methods in _of_model(model, _FAILURES | refusals, alone=len(served) == 1):
            paths[path] = {method: operation | key for method, operation in methods.items()}
        if logged:
            path = f"/models/{quote(model.name, safe='')}/labels"
            paths[path] = {"post": _labels(model.name, _FAILURES | refusals) | key}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cloche", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": dict(one.error_schema for one in PROTOCOLS if one.error_schema),
            **({"securitySchemes": {"key": _BEARER}} if guarded else {}),
        },
    }


def _labels(name: str, texts: dict[str, str]) -> dict[str, Any]:
    """The operation that takes labels; its failures are those that a body may have."""
    failures = {code: texts[code] for code in texts if code not in {"415", "429", "500", "504"}}
    return {
        "summary": f"The truth about predictions of {name}, once it is known.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _LABELS}}},
        "responses": {
            "202": {"description": "Taken.", "content": {"application/json": {}}},
            **_failures(MLFLOW, failures | {"503": "The spool of the log takes nothing now."}),
        },
    }


def _page(text: str, media_type: str, unready: dict[str, Any] | None) -> dict[str, Any]:
    responses = {"200": {"description": text, "content": {media_type: {}}}}
    if unready is not None:
        content = {"application/json": {"schema": unready}}
        responses["503"] = {"description": "Not ready.", "content": content}
    return {"summary": text, "responses": responses}


def _of_model(
    model: ServedModel, texts: dict[str, str], *, alone: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The paths of a model, each with its operations by method."""
    description = model.current.description if model.current else {}
    for protocol in PROTOCOLS:
        failures = _failures(protocol, texts)
        for path in protocol.model_paths:
            methods = (b"GET",) if path.describe else protocol.methods
            operation = path.operation(model.name, description, failures)
            yield (
                (protocol.bases[0] + path.end).format(name=quote(model.name, safe="")),
                {method.decode().lower(): operation for method in methods},
            )
            if alone and protocol is MLFLOW:
                yield "/invocations", {"post": operation | {"operationId": "predict"}}


def _failures(protocol: Protocol, texts: dict[str, str]) -> dict[str, Any]:
    """The responses for failures in the protocol's format."""
    if protocol.error_schema is None:
        return {code: {"description": text} for code, text in texts.items()}
    schema = {"$ref": f"#/components/schemas/{protocol.error_schema[0]}"}
    content = {"application/json": {"schema": schema}}
    return {code: {"description": text, "content": content} for code, text in texts.items()}
