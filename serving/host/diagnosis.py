"""Says what a refused request lacks, in terms of the signature.

The field, the row, the expected type; never the value.

It looks for the first plain mistake and falls back to a general sentence; whether a request is
refused is not decided here.
"""

import json
import warnings
from typing import Any

import pandas as pd
from mlflow.types import DataType, Schema

from cloche import moments
from cloche.serving.host.frames import Item
from cloche.serving.host.media import CSV, PARQUET, check

_LAYOUTS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_GENERAL = "The request does not fit the model's signature; /openapi.json describes what it takes."


def explain(item: Item, schema: Schema | None) -> str:
    """Why the request in `item` cannot be scored by a model with this input schema."""
    media_type = check(item.content_type)
    if media_type == CSV:
        return "The body cannot be read as CSV with the columns and types of the model's signature."
    if media_type == PARQUET:
        return "The body cannot be read as a Parquet table with the model's columns and types."
    try:
        payload = json.loads(item.body)
    except (ValueError, RecursionError):
        return "The body is not valid JSON."
    return _payload_mistake(payload, schema)


def _payload_mistake(payload: Any, schema: Schema | None) -> str:
    if not isinstance(payload, dict):
        return "The body must be a JSON object with one of " + ", ".join(_LAYOUTS) + "."
    layouts = [name for name in _LAYOUTS if name in payload]
    if len(layouts) != 1:
        found = " and ".join(layouts) or "none of them"
        return f"The body must hold exactly one of {', '.join(_LAYOUTS)}; it holds {found}."
    if not isinstance(payload.get("params") or {}, dict):
        return "params must be an object."
    return _shape_mistake(layouts[0], payload[layouts[0]]) or _column_mistake(
        _columns(layouts[0], payload[layouts[0]]), schema
    )


def _shape_mistake(layout: str, content: Any) -> str | None:
    if layout == "dataframe_split" and not (
        isinstance(content, dict)
        and isinstance(content.get("data"), list)
        and isinstance(content.get("columns", []), list)
    ):
        return "dataframe_split must be an object with the lists columns and data."
    if layout == "dataframe_records" and not isinstance(content, list):
        return "dataframe_records must be a list of objects, one per row."
    return None


def _columns(layout: str, content: Any) -> dict[str, list[Any]] | None:
    """The columns of the payload by name, as far as they can be told; None where they cannot."""
    if layout == "dataframe_split":
        names, rows = content.get("columns"), content["data"]
        if not names or any(not isinstance(row, list) or len(row) != len(names) for row in rows):
            return None
        return {str(name): [row[at] for row in rows] for at, name in enumerate(names)}
    if isinstance(content, dict):
        return {
            name: cells if isinstance(cells, list) else [cells] for name, cells in content.items()
        }
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        return None
    names = dict.fromkeys(name for row in content for name in row)
    return {name: [row.get(name) for row in content] for name in names}


def _column_mistake(columns: dict[str, list[Any]] | None, schema: Schema | None) -> str:
    if columns is None or schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return _GENERAL
    missing = [name for name in schema.required_input_names() if name not in columns]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        return f"The request lacks {'column' if len(missing) == 1 else 'columns'} {names}."
    for spec in schema.inputs:
        for row, cell in enumerate(columns.get(str(spec.name), ())):
            if not _fits(cell, spec.type, required=spec.required):
                return f"Column {spec.name!r}, row {row}: expected {spec.type!r}."
    return _GENERAL


def _fits(cell: Any, kind: Any, *, required: bool) -> bool:
    """Whether a JSON value could be one of the type; strict only where MLflow is."""
    if cell is None:
        kept = (DataType.double, DataType.float, DataType.string, DataType.datetime)
        optional = kind == DataType.boolean or not isinstance(kind, DataType)
        return kind in kept or (optional and not required)
    if kind in (DataType.double, DataType.float):
        return isinstance(cell, (int, float)) or _number(cell)
    if kind in (DataType.long, DataType.integer):
        return isinstance(cell, int) or _number(cell)
    if kind == DataType.boolean:
        return isinstance(cell, (bool, int, float))
    if kind in (DataType.string, DataType.datetime, DataType.binary):
        text = kind == DataType.datetime and isinstance(cell, str)
        return _is_moment(cell) if text else not isinstance(cell, (dict, list))
    return True


def _is_moment(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of forms that it guesses
        found = moments.read(pd.Series([pd.to_datetime(text, errors="coerce")]))
    return found is not None and bool(found.values.notna().all())


def _number(cell: Any) -> bool:
    if not isinstance(cell, (str, float)):
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
