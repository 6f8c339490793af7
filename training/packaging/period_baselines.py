"""Measures how far single days and weeks of the training data differ from the rest of it.

A batch usually covers a day or a week, and always differs from months of training data. The profile
therefore stores, for each column, how far each period differed from all other periods, by the
measures that batch jobs compute. A batch is compared with periods of its own length.

- `psi`: the population stability index over the bins of the profile, `missing` being one.
- `shift`: the distance of the means, in standard deviations of all rows.
- `outside`: the share of rows beyond the others' range, or with values that the others lack.
- `missing`: the absolute difference between the shares of missing rows.
"""

from typing import Any

import numpy as np
import pandas as pd

UNITS = {"day": "D", "week": "W"}
QUANTILES = {"0.5": 0.5, "0.95": 0.95, "0.99": 0.99, "1.0": 1.0}
MIN_PERIODS = 20  # fewest periods from which a 95 % quantile can be estimated
MIN_ROWS = 50  # fewest rows of a period; smaller periods differ by chance
_HALF_ROW = 0.5  # rows that an empty bin counts as, like in `cloche.drift.judgement`


def number_periods(timestamps: "pd.Series[pd.Timestamp]") -> dict[str, "np.ndarray"]:
    """Return the period number of each row by unit, for units with enough periods; -1 for none."""
    by_unit = {}
    for unit, code in UNITS.items():
        numbers, _ = pd.factorize(timestamps.dt.to_period(code))
        rows = np.bincount(numbers[numbers >= 0], minlength=1)
        large = np.flatnonzero(rows >= MIN_ROWS)
        if len(large) >= MIN_PERIODS:
            renumbered = np.full(len(rows) + 1, -1)  # the last entry is for rows without a time
            renumbered[large] = np.arange(len(large))
            by_unit[unit] = renumbered[numbers]
    return by_unit


def period_sizes(period_numbers: dict[str, "np.ndarray"]) -> dict[str, dict[str, int]]:
    """Return the number of periods and the median number of their rows, by unit."""
    by_unit = {unit: np.bincount(numbers[numbers >= 0]) for unit, numbers in period_numbers.items()}
    return {
        unit: {"count": len(rows), "rows": int(np.median(rows))} for unit, rows in by_unit.items()
    }


def difference_quantiles(
    values: "pd.Series[Any]", distribution: dict[str, Any], period_numbers: dict[str, "np.ndarray"]
) -> dict[str, Any]:
    """Return quantiles of the measures over the periods: unit → measure → quantile.

    Args:
        values: (n rows) Values of one column or score; for texts, their lengths.
        distribution: Distribution of the values in the profile.
        period_numbers: Period numbers of the rows, as `number_periods` returns them.
    """
    measure = _numeric_measures if "edges" in distribution else _category_measures
    return {
        unit: {
            name: dict(zip(QUANTILES, _quantiles(by_period), strict=True))
            for name, by_period in measure(
                values[numbers >= 0], distribution, numbers[numbers >= 0]
            )
        }
        for unit, numbers in period_numbers.items()
    }


def _quantiles(measured: "np.ndarray") -> list[float]:
    return [float(f"{one:.4g}") for one in np.quantile(measured, list(QUANTILES.values()))]


Measures = list[tuple[str, "np.ndarray"]]  # name → value of each period


def _numeric_measures(
    values: "pd.Series[Any]", distribution: dict[str, Any], periods: "np.ndarray"
) -> Measures:
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    present = np.isfinite(numbers)
    edges = np.array(distribution["edges"])
    bins = np.where(present, np.searchsorted(edges[1:-1], numbers, side="right"), len(edges) - 1)
    counts = _counts(periods, bins, len(edges))
    return [
        ("psi", _psi(counts)),
        ("shift", _shift(periods[present], numbers[present], len(counts), distribution["std"])),
        ("outside", _outside(periods[present], numbers[present], counts.sum(axis=1))),
        ("missing", _missing(counts)),
    ]


def _category_measures(
    values: "pd.Series[Any]", distribution: dict[str, Any], periods: "np.ndarray"
) -> Measures:
    known = {name: at for at, name in enumerate(distribution.get("counts", {}))}
    named = values.astype(str).map(known).fillna(len(known)) if known else 0
    bins = np.where(values.isna(), len(known) + 1, named).astype(int)
    counts = _counts(periods, bins, len(known) + 2)
    others = counts.sum(axis=0) - counts
    unique = np.where(others == 0, counts, 0)[:, : len(known)].sum(axis=1)  # in no other period
    outside = (counts[:, len(known)] if known else 0) + unique
    return [
        ("psi", _psi(counts)),
        ("outside", outside / counts.sum(axis=1)),
        ("missing", _missing(counts)),
    ]


def _counts(periods: "np.ndarray", bins: "np.ndarray", bin_count: int) -> "np.ndarray":
    """Return the number of rows by period and bin, of shape (periods, bins)."""
    period_count = periods.max() + 1
    flat = np.bincount(periods * bin_count + bins, minlength=period_count * bin_count)
    return flat.reshape(period_count, bin_count)


def _psi(counts: "np.ndarray") -> "np.ndarray":
    others = counts.sum(axis=0) - counts
    p = np.maximum(others, _HALF_ROW) / others.sum(axis=1, keepdims=True)
    q = np.maximum(counts, _HALF_ROW) / counts.sum(axis=1, keepdims=True)
    used = (others + counts) > 0
    psi: np.ndarray = np.where(used, (q - p) * np.log(q / p), 0.0).sum(axis=1)
    return psi


def _missing(counts: "np.ndarray") -> "np.ndarray":
    others = counts.sum(axis=0) - counts
    difference: np.ndarray = np.abs(
        counts[:, -1] / counts.sum(axis=1) - others[:, -1] / others.sum(axis=1)
    )
    return difference


def _shift(
    periods: "np.ndarray", values: "np.ndarray", period_count: int, deviation: float
) -> "np.ndarray":
    rows, sums = (np.bincount(periods, weight, period_count) for weight in (None, values))
    means = sums / np.maximum(rows, 1)
    others = (sums.sum() - sums) / np.maximum(rows.sum() - rows, 1)
    return np.where(rows > 0, np.abs(means - others), 0.0) / (deviation or 1.0)


def _outside(periods: "np.ndarray", values: "np.ndarray", rows: "np.ndarray") -> "np.ndarray":
    """Return the shares of rows beyond the smallest or largest value of all other periods."""
    shares = np.zeros(len(rows))
    for signed in (values, -values):
        largest = pd.Series(signed).groupby(periods).max().nlargest(2)
        if len(largest) == 2:  # only the period with the largest value has rows beyond the others
            period = largest.index[0]
            beyond = (signed[periods == period] > largest.iloc[1]).sum()
            shares[period] += beyond / rows[period]
    return shares
