"""What the server takes and gives, told from the signatures of its models.

`/openapi.json` and a page of plain HTML.
"""

import html
import json
from collections.abc import Iterable
from typing import Any

from serving.front.model import ServedModel

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "binary": {"type": "string", "format": "byte"},
    "datetime": {"type": "string", "format": "date-time"},
}
_LAYOUTS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_ERROR = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
}
_FAILURES = {
    "400": "The request does not fit the model.",
    "401": "An API key is asked for, and none of them was sent.",
    "404": "There is no such model, version or path.",
    "413": "The body is too large.",
    "415": "The content type is not taken.",
    "429": "Too many requests wait already; Retry-After says when to come back.",
    "500": "The model's answer cannot be written.",
    "503": "No replica can answer now.",
    "504": "There was no answer in time.",
}


def openapi(models: Iterable[ServedModel]) -> dict[str, Any]:
    """The OpenAPI description of a server with these models."""
    served = list(models)
    paths: dict[str, Any] = {path: {"get": _probe(text)} for path, text in _PROBES.items()}
    for model in served:
        operation = _operation(model)
        paths[f"/models/{model.name}/invocations"] = {"post": operation}
        if len(served) == 1:
            paths["/invocations"] = {"post": operation | {"operationId": "predict"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cloche", "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


_PROBES = {
    "/livez": "The server runs.",
    "/readyz": "Every followed model can answer; otherwise 503 with the reason.",
    "/ping": "As /readyz, without words.",
    "/health": "As /ping.",
    "/version": "The MLflow version of the model host.",
    "/metrics": "Metrics for Prometheus.",
}


def _probe(text: str) -> dict[str, Any]:
    return {"summary": text, "responses": {"200": {"description": text}}}


def _operation(model: ServedModel) -> dict[str, Any]:
    description = model.current.description if model.current else {}
    signature = description.get("signature") or {}
    content: dict[str, Any] = {"schema": _request_schema(signature)}
    if description.get("example"):
        content["example"] = json.loads(description["example"])
    answer = {"type": "object", "properties": {"predictions": {}}}
    failures = {
        code: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for code, text in _FAILURES.items()
    }
    return {
        "summary": f"Predictions of {model.name}",
        "operationId": f"predict-{model.name}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": content,
                "text/csv": {},
                "application/vnd.apache.parquet": {},
            },
        },
        "responses": {
            "200": {
                "description": "The predictions.",
                "content": {"application/json": {"schema": answer}},
            },
            **failures,
        },
    }


def _request_schema(signature: dict[str, Any]) -> dict[str, Any]:
    columns = _specs(signature, "inputs")
    properties: dict[str, Any] = {name: {} for name in _LAYOUTS}
    if columns and all("name" in column and column.get("type") != "tensor" for column in columns):
        row = {
            "type": "object",
            "properties": {
                column["name"]: _JSON_TYPES.get(column["type"], {}) for column in columns
            },
            "required": [column["name"] for column in columns if column.get("required", True)],
        }
        properties["dataframe_records"] = {"type": "array", "items": row}
        properties["dataframe_split"] = {
            "type": "object",
            "properties": {
                "columns": {"type": "array", "items": {"type": "string"}},
                "data": {"type": "array", "items": {"type": "array"}},
            },
            "required": ["columns", "data"],
        }
    return {
        "type": "object",
        "description": f"An object with exactly one of {', '.join(_LAYOUTS)}.",
        "properties": {**properties, "params": {"type": "object"}},
    }


def _specs(signature: dict[str, Any], side: str) -> list[dict[str, Any]]:
    specs: list[dict[str, Any]] = json.loads(signature.get(side) or "[]")
    return specs


def page(models: Iterable[ServedModel]) -> str:
    """The same for people: one page, with nothing fetched from elsewhere."""
    served = list(models)
    return _PAGE.format(body="\n".join(_section(model, alone=len(served) == 1) for model in served))


def _section(model: ServedModel, *, alone: bool) -> str:
    description = model.current.description if model.current else {}
    signature = description.get("signature") or {}
    path = "/invocations" if alone else f"/models/{model.name}/invocations"
    version = model.current.version if model.current else "none yet"
    example = description.get("example")
    parts = [
        f"<h2>{_text(model.name)}</h2>"
        f"<p>Version {_text(version)}. <code>POST {_text(path)}</code></p>"
    ]
    for side, title in (("inputs", "Takes"), ("params", "Parameters"), ("outputs", "Gives")):
        if specs := _specs(signature, side):
            parts.append(f"<h3>{title}</h3>{_table(specs)}")
    if example:
        parts.append(f"<h3>Example</h3><pre>{_text(example)}</pre>")
    return "".join(parts)


def _table(specs: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{_text(spec.get('name', ''))}</td><td>{_text(_kind(spec))}</td>"
        f"<td>{'required' if spec.get('required', True) else 'optional'}</td></tr>"
        for spec in specs
    )
    return f"<table><tr><th>name</th><th>type</th><th></th></tr>{rows}</table>"


def _kind(spec: dict[str, Any]) -> str:
    if spec.get("type") == "tensor":
        tensor = spec["tensor-spec"]
        return f"tensor of {tensor['dtype']}, shape {tensor['shape']}"
    return str(spec.get("type", ""))


def _text(value: object) -> str:
    return html.escape(str(value))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cloche</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto }}
pre {{ background: #f4f4f4; padding: 1rem; overflow: auto }}
td, th {{ text-align: left; padding: .2rem 1.5rem .2rem 0 }}
</style></head><body>
<h1>Cloche</h1>
<p>Send JSON with one of <code>dataframe_split</code>, <code>dataframe_records</code>,
<code>instances</code>, <code>inputs</code>; or CSV, or Parquet.
The same as data: <a href="/openapi.json">/openapi.json</a>.</p>
{body}
</body></html>
"""
