"""JSON Schemas of requests to a model, derived from its MLflow signature. Pure."""

import json
from collections.abc import Callable
from typing import Any

from cloche.serving.host.parsing.unnamed_columns import side_by_side
from cloche.values.json_layouts import LAYOUTS

Spec = dict[str, Any]
JsonSchema = dict[str, Any]

_SCALARS: dict[str, JsonSchema] = {
    "boolean": {"type": "boolean"},
    "integer": {
        "type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1,
    },
    "long": {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "binary": {"type": "string", "format": "byte", "contentEncoding": "base64"},
    "datetime": {
        "type": "string",
        "description": "ISO 8601, from 1678 to 2261. With a zone or an offset it is converted to "
        "UTC, and without one it counts as UTC.",
        "pattern": "^(16(7[89]|[89][0-9])|1[789][0-9]{2}|2[01][0-9]{2}|22([0-5][0-9]|6[01]))"
        "(-[0-9]{2}){2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
        "([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?$",
        "examples": ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01"],
    },
}  # fmt: skip
_NESTED = ("array", "map", "object", "any")


def specs(signature: Spec, side: str) -> list[Spec]:
    """The columns, tensors or parameters of one side of a signature: inputs, outputs or params."""
    found: list[Spec] = json.loads(signature.get(side) or "[]")
    return found


def request_schema(signature: Spec, *, hinted: bool = False) -> JsonSchema:
    """The schema of a JSON request to a model with this signature."""
    inputs = specs(signature, "inputs")
    if not inputs:
        return {
            "type": "object",
            "description": f"One of {', '.join(LAYOUTS)}; or whatever else the model reads.",
        }
    params = {"params": {"type": "object", "properties": _params(specs(signature, "params"))}}
    layouts = {"inputs": _array(column(inputs[0]))} if hinted else _layouts(inputs)
    return {
        "description": f"An object with exactly one of {', '.join(layouts)}.",
        "oneOf": [
            {"type": "object", "required": [layout], "properties": {layout: content, **params}}
            for layout, content in layouts.items()
        ],
    }


def _layouts(inputs: list[Spec]) -> dict[str, JsonSchema]:
    """The schema of each layout in which the inputs can be sent."""
    named = all("name" in spec for spec in inputs)
    if inputs[0].get("type") == "tensor":
        if not named:
            tensor = _tensor(inputs[0]["tensor-spec"])
            return {"inputs": tensor, "instances": tensor}
        rows = _array(_object(inputs, lambda spec: _tensor(spec["tensor-spec"], row=True)))
        return {
            "inputs": _object(inputs, lambda spec: _tensor(spec["tensor-spec"])),
            "instances": rows,
        }
    if not named:
        cells = [column(spec) for spec in inputs]
        row = {"type": "array", "prefixItems": cells, "minItems": len(cells), "items": False}
        rows = _array(row, minItems=1)
        split = {"dataframe_split": _split(rows)}
        alike = side_by_side([spec.get("type", "") for spec in inputs])
        return split | ({"instances": rows, "inputs": rows} if alike else {})
    records = _array(_object(inputs, column), minItems=1)
    rows = {
        "dataframe_split": _split(_array({"type": "array"}, minItems=1)),
        "dataframe_records": records,
    }
    if any(spec.get("type") in _NESTED for spec in inputs):
        return {
            **rows,
            "inputs": records,
        }  # MLflow turns the other layouts into arrays, which do not fit
    columns = _object(inputs, lambda spec: _array(column(spec), minItems=1))
    return {**rows, "instances": records, "inputs": {"anyOf": [records, columns]}}


def column(spec: Spec) -> JsonSchema:
    """The schema of one cell of a column, or of one value inside the cell."""
    kind = spec.get("type", "")
    if kind == "array":
        return _array(column(spec["items"]))
    if kind == "map":
        return {"type": "object", "additionalProperties": column(spec["values"])}
    if kind == "object":
        return _object(
            [{"name": name, **inner} for name, inner in spec["properties"].items()], column
        )
    return _SCALARS.get(kind, {})


def _object(members: list[Spec], content: Callable[[Spec], JsonSchema]) -> JsonSchema:
    return {
        "type": "object",
        "properties": {member["name"]: content(member) for member in members},
        "required": [member["name"] for member in members if member.get("required", True)],
    }


def _array(items: JsonSchema, **limits: int) -> JsonSchema:
    return {"type": "array", "items": items, **limits}


def _split(rows: JsonSchema) -> JsonSchema:
    names = {"type": "array", "items": {"type": "string"}}
    return {
        "type": "object",
        "properties": {"columns": names, "index": {"type": "array"}, "data": rows},
        "required": ["data"],
    }


def _tensor(spec: Spec, *, row: bool = False) -> JsonSchema:
    """The schema of a tensor as nested arrays; with `row`, of one row, without the first axis."""
    schema = _element(spec["dtype"])
    for length in reversed(spec["shape"][1 if row else 0 :]):
        fixed = {} if length < 0 else {"minItems": length, "maxItems": length}
        schema = _array(schema, **fixed)
    return schema


def _element(dtype: str) -> JsonSchema:
    """The schema of one element of a tensor with this numpy dtype."""
    if dtype.startswith(("float", "complex")):
        return {"type": "number"}
    if dtype.startswith(("int", "uint")):
        return {"type": "integer"}
    return {"type": "boolean"} if dtype == "bool" else {}


def _params(params: list[Spec]) -> dict[str, JsonSchema]:
    return {
        param["name"]: (_array(column(param)) if param.get("shape") else column(param))
        | {"default": param.get("default")}
        for param in params
    }
