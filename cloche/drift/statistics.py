"""Statistics of scored rows for the report: small counts that add up over any number of parts.

They are taken from at most `SAMPLE` rows spread evenly over each part, because counting every row
would cost a tenth of the scoring time. The row number alone decides which rows are taken.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cloche.values import cells

SAMPLE = 2048
_MOST_VALUES = 200


def count(inputs: pd.DataFrame, predictions: pa.Table, profile: dict[str, Any]) -> dict[str, Any]:
    """Count a sample of the scored rows."""
    chosen = sampled(len(inputs))
    return count_sample(inputs.iloc[chosen], predictions.take(pa.array(chosen)), profile)


def sampled(rows: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the positions of the rows of a part that are counted."""
    return np.arange(0, rows, max(1, -(-rows // SAMPLE)))


def count_sample(inputs: pd.DataFrame, sample: pa.Table, profile: dict[str, Any]) -> dict[str, Any]:
    """Count all rows of a sample."""
    scores = sample.to_pandas(integer_object_nulls=True)  # a gap must not make integers floats
    columns = {
        name: _column(inputs[name], described)
        for name, described in profile.get("columns", {}).items()
        if name in inputs.columns
    }
    references = profile.get("scores", {})
    counts = {str(name): _score(scores[name], references.get(name)) for name in scores.columns}
    segments = _segments(inputs, scores, profile)
    return {"sampled": len(inputs), "columns": columns, "scores": counts, "segments": segments}


def add(totals: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Add two statistics: numbers are added, lists element by element, objects key by key."""
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
        return _values(values, list(described.get("counts", {})), cells.label)
    return {"missing": int(values.isna().sum()), "present": int(values.notna().sum())}


def _score(values: pd.Series, reference: dict[str, Any] | None) -> dict[str, Any]:
    if pd.api.types.is_float_dtype(values):
        edges = reference.get("edges") if reference else np.linspace(0, 1, 21).tolist()
        return _numbers(values, edges)
    return _values(values, list((reference or {}).get("counts", {})), str)


def _numbers(values: pd.Series, edges: list[float] | None) -> dict[str, Any]:
    """Count numbers per bin of the reference; numbers outside fall into the outermost bins."""
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


def _values(values: pd.Series, known: list[str], label: Callable[[Any], str]) -> dict[str, Any]:
    """Count the values that the reference names, or the most frequent; the rest is `other`."""
    counts: Counter[str] = Counter()
    if values.dtype == object:  # of any types, for which 1 equals True
        counts.update(map(label, values.dropna()))
    else:
        for value, number in values.value_counts(sort=False).items():
            counts[label(value)] += number
    kept = set(known) or {name for name, _ in counts.most_common(_MOST_VALUES)}
    other = sum(number for name, number in counts.items() if name not in kept)
    return {
        "missing": int(values.isna().sum()),
        "present": counts.total(),
        "values": {name: counts[name] for name in sorted(kept) if counts[name]},
        "other": other,
    }


def _segments(
    inputs: pd.DataFrame, scores: pd.DataFrame, profile: dict[str, Any]
) -> dict[str, dict[str, list[float]]]:
    """Return column → value → number of rows and sum of the first numeric score."""
    numeric = [name for name in scores.columns if pd.api.types.is_float_dtype(scores[name])]
    if not numeric:
        return {}
    score = scores[numeric[0]].to_numpy(np.float64)
    found: dict[str, dict[str, list[float]]] = {}
    for name, described in profile.get("columns", {}).items():
        if described["role"] != "categorical" or name not in inputs.columns:
            continue
        known = described.get("counts", {})
        codes, values = pd.factorize(inputs[name])
        used = (codes >= 0) & ~np.isnan(score)
        rows = np.bincount(codes[used], minlength=len(values))
        totals = np.bincount(codes[used], score[used], len(values))
        found[name] = {
            label: [int(rows[at].sum()), float(totals[at].sum())]
            for label, at in _places(values).items()
            if label in known and rows[at].any()
        }
    return found


def _places(values: Iterable[Any]) -> dict[str, list[int]]:
    """Return label → the positions of the values that have it."""
    found: dict[str, list[int]] = {}
    for at, value in enumerate(values):
        found.setdefault(cells.label(value), []).append(at)
    return found
