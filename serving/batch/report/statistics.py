"""Counts of what went through a part, for the report: small, and added up over any number of parts.

They are taken from rows spread evenly over each part, at most `SAMPLE` of them, because counting
every row would cost a tenth of the scoring. Which rows is decided by their number alone.
"""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

SAMPLE = 2048
_MOST_VALUES = 200


def count(inputs: pd.DataFrame, predictions: pa.Table, profile: dict[str, Any]) -> dict[str, Any]:
    """Count a sample of the scored rows.

    Args:
        inputs: (n rows) what the model got.
        predictions: (n rows) what it said.
        profile: The version's reference profile; empty if it has none.
    """
    step = max(1, -(-len(inputs) // SAMPLE))
    inputs = inputs.iloc[::step]
    sample = predictions.take(pa.array(range(0, predictions.num_rows, step)))
    scores = sample.to_pandas(integer_object_nulls=True)  # a gap makes no other kind of column
    columns = {
        name: _column(inputs[name], described)
        for name, described in profile.get("columns", {}).items()
        if name in inputs.columns
    }
    references = profile.get("scores", {})
    said = {str(name): _score(scores[name], references.get(name)) for name in scores.columns}
    segments = _segments(inputs, scores, profile)
    return {"sampled": len(inputs), "columns": columns, "scores": said, "segments": segments}


def add(totals: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Two counts as one: numbers are added, lists place by place, objects key by key."""
    result = dict(totals)
    for key, value in more.items():
        if key not in result:
            result[key] = value
        elif isinstance(value, dict):
            result[key] = add(result[key], value)
        elif isinstance(value, list):
            result[key] = [a + b for a, b in zip(result[key], value, strict=True)]
        else:
            result[key] = result[key] + value
    return result


def _column(values: pd.Series, described: dict[str, Any]) -> dict[str, Any]:
    role = described["role"]
    if role == "numeric":
        return _numbers(values, described.get("edges"))
    if role == "text":
        lengths = values.map(len, na_action="ignore")
        return _numbers(lengths, described.get("length", {}).get("edges"))
    if role == "categorical":
        return _values(values, list(described.get("counts", {})))
    return {"missing": int(values.isna().sum()), "present": int(values.notna().sum())}


def _score(values: pd.Series, reference: dict[str, Any] | None) -> dict[str, Any]:
    if pd.api.types.is_float_dtype(values):
        edges = reference.get("edges") if reference else np.linspace(0, 1, 21).tolist()
        return _numbers(values, edges)
    return _values(values.map(str, na_action="ignore"), list((reference or {}).get("counts", {})))


def _numbers(values: pd.Series, edges: list[float] | None) -> dict[str, Any]:
    """Counts per bin of the reference; what lies outside falls into the outermost bins."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    present = numbers[np.isfinite(numbers)]
    found: dict[str, Any] = {
        "missing": int(len(numbers) - len(present)),
        "present": len(present),
        "sum": float(present.sum()),
    }
    if edges:
        inside = np.clip(present, edges[0], edges[-1])
        found["counts"] = np.histogram(inside, edges)[0].tolist()
        found["outside"] = int((inside != present).sum())
    return found


def _values(values: pd.Series, known: list[str]) -> dict[str, Any]:
    """Counts per value that the reference names, or of the most frequent; the rest is `other`."""
    counts = Counter(_label(value) for value in values if not pd.isna(value))
    kept = set(known) or {name for name, _ in counts.most_common(_MOST_VALUES)}
    other = sum(number for name, number in counts.items() if name not in kept)
    return {
        "missing": int(values.isna().sum()),
        "present": counts.total(),
        "values": {name: counts[name] for name in sorted(kept) if counts[name]},
        "other": other,
    }


def _label(value: Any) -> str:
    """As the profile names it: whole floats lose the `.0` that a missing neighbour gave them."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _segments(
    inputs: pd.DataFrame, scores: pd.DataFrame, profile: dict[str, Any]
) -> dict[str, dict[str, list[float]]]:
    """Column → value → rows and sum of the first score that is a number."""
    numeric = [name for name in scores.columns if pd.api.types.is_float_dtype(scores[name])]
    if not numeric:
        return {}
    score = scores[numeric[0]].to_numpy(np.float64)
    found: dict[str, dict[str, list[float]]] = {}
    for name, described in profile.get("columns", {}).items():
        if described["role"] != "categorical" or name not in inputs.columns:
            continue
        known = described.get("counts", {})
        labels = [_label(value) for value in inputs[name]]
        grouped = pd.DataFrame({"label": labels, "score": score}).groupby("label")["score"]
        found[name] = {
            str(label): [int(rows), float(total)]
            for label, (rows, total) in grouped.agg(["count", "sum"]).iterrows()
            if label in known
        }
    return found
