"""Encoding of a caller's rows as a request body of MLflow's scoring protocol."""

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from cloche.values.json_layouts import LAYOUTS


def is_frame(rows: Any) -> bool:
    """Whether `rows` is a pandas DataFrame, without an import of pandas, which is optional."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(rows, pandas.DataFrame)


def body(rows: Any, params: Mapping[str, Any] | None = None) -> bytes:
    """Encode `rows` and the model's parameters as JSON.

    Raises:
        TypeError: A value has no form in JSON.
    """
    payload = _payload(rows)
    if params is not None:
        payload = {**payload, "params": dict(params)}
    return json.dumps(payload, default=_plain).encode()


def _payload(rows: Any) -> dict[str, Any]:
    if is_frame(rows):
        # DataFrame.to_json writes at most 15 digits of a number.
        held = rows.astype(object).where(rows.notna(), None).to_dict(orient="split")
        return {"dataframe_split": {"columns": held["columns"], "data": held["data"]}}
    if isinstance(rows, Mapping):
        given = any(layout in rows for layout in LAYOUTS)
        return dict(rows) if given else {"inputs": dict(rows)}
    if isinstance(rows, Sequence) and rows and all(isinstance(row, Mapping) for row in rows):
        return {"dataframe_records": [dict(row) for row in rows]}
    return {"inputs": rows}


def _plain(value: Any) -> Any:
    """Convert a value that `json` cannot encode."""
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return value.tolist()
    if isinstance(value, date):  # also datetime and Timestamp, its subclasses
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"A {type(value).__name__} cannot be sent: JSON has no such thing.")
