"""The reference profile: the distributions of each column, and of the scores, in training.

Monitoring compares later data with the profile. It contains counts and no rows; for text columns it
contains only lengths, never words.
"""

from typing import Any

import numpy as np
import pandas as pd

from cloche.training.packaging.period_baselines import (
    difference_quantiles,
    number_periods,
    period_sizes,
)
from cloche.training.recipe.sections import Columns

SCHEMA = 1
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
BINS = 20
MOST_FREQUENT = 50


def profile(
    frame: pd.DataFrame,
    columns: Columns,
    output: pd.DataFrame,
    timestamps: "pd.Series[pd.Timestamp] | None" = None,
) -> dict[str, Any]:
    """Describe the training rows and their scores.

    Args:
        frame: (n rows) Raw training rows.
        columns: The features by role.
        output: (n rows) Output of the model for the rows.
        timestamps: (n rows) Times of the rows, if the recipe splits by time.

    Returns:
        A JSON document: `schema`, `rows`, `columns` (name → role, missing and the distribution),
        `scores`, and `pieces` (unit → count and rows of its periods). Each column and score has an
        entry `usual` with its differences between periods; see
        `cloche.training.packaging.period_baselines`.
    """
    period_numbers = number_periods(timestamps) if timestamps is not None else {}
    lengths = {name: frame[name].map(len, na_action="ignore") for name in columns.text}
    described: dict[str, Any] = {}
    for name in columns.numeric:
        described[name] = {"role": "numeric", **numeric_distribution(frame[name])}
    for name in columns.categorical:
        described[name] = {"role": "categorical", **_categories(frame[name])}
    for name, values in lengths.items():
        length = {"length": numeric_distribution(values)}
        described[name] = {"role": "text", **length, **_missing(frame[name])}
    for name in columns.datetime:
        described[name] = {"role": "datetime", **_moments(frame[name])}
    scores = {str(name): _scores(output[name]) for name in output.columns}
    for name, one in described.items():
        values = lengths.get(name, frame[name])
        one["usual"] = difference_quantiles(values, one.get("length", one), period_numbers)
    for name, one in scores.items():
        one["usual"] = difference_quantiles(output[name], one, period_numbers)
    return {
        "schema": SCHEMA,
        "rows": len(frame),
        "columns": described,
        "scores": scores,
        "pieces": period_sizes(period_numbers),
    }


def numeric_distribution(values: pd.Series) -> dict[str, Any]:
    """Return missing count, moments, quantiles, and a histogram with equally filled bins."""
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    present = numbers[np.isfinite(numbers)]
    summary: dict[str, Any] = {"missing": int(len(numbers) - len(present))}
    if not len(present):
        return summary
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)))
    if len(edges) == 1:
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    counts, _ = np.histogram(present, edges)
    return summary | {
        "mean": float(present.mean()),
        "std": float(present.std()),
        "quantiles": dict(
            zip(map(str, QUANTILES), np.quantile(present, QUANTILES).tolist(), strict=True)
        ),
        "edges": edges.tolist(),
        "counts": counts.tolist(),
    }


def _scores(values: pd.Series) -> dict[str, Any]:
    if pd.api.types.is_float_dtype(values):
        return numeric_distribution(values)
    return _categories(values)


def _missing(values: pd.Series) -> dict[str, int]:
    return {"missing": int(values.isna().sum())}


def _categories(values: pd.Series) -> dict[str, Any]:
    counts = values.dropna().astype(str).value_counts()
    kept = counts.head(MOST_FREQUENT)
    return _missing(values) | {
        "distinct": len(counts),
        "counts": {str(name): int(count) for name, count in kept.items()},
        "other": int(counts.sum() - kept.sum()),
    }


def _moments(values: pd.Series) -> dict[str, Any]:
    moments = pd.to_datetime(values)
    ends = {} if moments.isna().all() else {"first": str(moments.min()), "last": str(moments.max())}
    return _missing(values) | ends
