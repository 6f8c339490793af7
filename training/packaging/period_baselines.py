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
LEAST_PIECES = 20  # fewest periods from which a 95 % quantile can be estimated
LEAST_ROWS = 50  # fewest rows of a period; smaller periods differ by chance
_HALF_ROW = 0.5  # rows that an empty bin counts as, like in `cloche.serving.batch.report.drift`


def periods(when: "pd.Series[pd.Timestamp]") -> dict[str, "np.ndarray"]:
    """Return the period number of each row by unit, for units with enough periods; -1 for none."""
    found = {}
    for unit, code in UNITS.items():
        numbers, _ = pd.factorize(when.dt.to_period(code))
        rows = np.bincount(numbers[numbers >= 0], minlength=1)
        large = np.flatnonzero(rows >= LEAST_ROWS)
        if len(large) >= LEAST_PIECES:
            again = np.full(len(rows) + 1, -1)  # the last entry is for rows with the number -1
            again[large] = np.arange(len(large))
            found[unit] = again[numbers]
    return found


def sizes(parts: dict[str, "np.ndarray"]) -> dict[str, dict[str, int]]:
    """Return the number of periods and the median number of their rows, by unit."""
    rows = {unit: np.bincount(numbers[numbers >= 0]) for unit, numbers in parts.items()}
    return {
        unit: {"count": len(found), "rows": int(np.median(found))} for unit, found in rows.items()
    }


def usual(
    values: "pd.Series[Any]", described: dict[str, Any], parts: dict[str, "np.ndarray"]
) -> dict[str, Any]:
    """Return quantiles of the measures over the periods: unit → measure → quantile.

    Args:
        values: (n rows) Values of one column or score; for texts, their lengths.
        described: Distribution of the values in the profile.
        parts: Period numbers of the rows, as `periods` returns them.
    """
    measure = _numbers if "edges" in described else _categories
    return {
        unit: {
            name: dict(zip(QUANTILES, _quantiles(found), strict=True))
            for name, found in measure(values[numbers >= 0], described, numbers[numbers >= 0])
        }
        for unit, numbers in parts.items()
    }


def _quantiles(found: "np.ndarray") -> list[float]:
    return [float(f"{one:.4g}") for one in np.quantile(found, list(QUANTILES.values()))]


Measured = list[tuple[str, "np.ndarray"]]


def _numbers(
    values: "pd.Series[Any]", described: dict[str, Any], numbers: "np.ndarray"
) -> Measured:
    found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    present = np.isfinite(found)
    edges = np.array(described["edges"])
    bins = np.where(present, np.searchsorted(edges[1:-1], found, side="right"), len(edges) - 1)
    counts = _counts(numbers, bins, len(edges))
    return [
        ("psi", _psi(counts)),
        ("shift", _shift(numbers[present], found[present], len(counts), described["std"])),
        ("outside", _outside(numbers[present], found[present], counts.sum(axis=1))),
        ("missing", _missing(counts)),
    ]


def _categories(
    values: "pd.Series[Any]", described: dict[str, Any], numbers: "np.ndarray"
) -> Measured:
    known = {name: at for at, name in enumerate(described.get("counts", {}))}
    named = values.astype(str).map(known).fillna(len(known)) if known else 0
    bins = np.where(values.isna(), len(known) + 1, named).astype(int)
    counts = _counts(numbers, bins, len(known) + 2)
    others = counts.sum(axis=0) - counts
    lacking = np.where(others == 0, counts, 0)[:, : len(known)].sum(axis=1)
    outside = (counts[:, len(known)] if known else 0) + lacking
    return [
        ("psi", _psi(counts)),
        ("outside", outside / counts.sum(axis=1)),
        ("missing", _missing(counts)),
    ]


def _counts(numbers: "np.ndarray", bins: "np.ndarray", width: int) -> "np.ndarray":
    """Return the number of rows by period and bin, of shape (periods, bins)."""
    height = numbers.max() + 1
    flat = np.bincount(numbers * width + bins, minlength=height * width)
    return flat.reshape(height, width)


def _psi(counts: "np.ndarray") -> "np.ndarray":
    others = counts.sum(axis=0) - counts
    p = np.maximum(others, _HALF_ROW) / others.sum(axis=1, keepdims=True)
    q = np.maximum(counts, _HALF_ROW) / counts.sum(axis=1, keepdims=True)
    used = (others + counts) > 0
    found: np.ndarray = np.where(used, (q - p) * np.log(q / p), 0.0).sum(axis=1)
    return found


def _missing(counts: "np.ndarray") -> "np.ndarray":
    others = counts.sum(axis=0) - counts
    found: np.ndarray = np.abs(
        counts[:, -1] / counts.sum(axis=1) - others[:, -1] / others.sum(axis=1)
    )
    return found


def _shift(
    numbers: "np.ndarray", found: "np.ndarray", height: int, deviation: float
) -> "np.ndarray":
    rows, sums = (np.bincount(numbers, weight, height) for weight in (None, found))
    means = sums / np.maximum(rows, 1)
    others = (sums.sum() - sums) / np.maximum(rows.sum() - rows, 1)
    return np.where(rows > 0, np.abs(means - others), 0.0) / (deviation or 1.0)


def _outside(numbers: "np.ndarray", found: "np.ndarray", rows: "np.ndarray") -> "np.ndarray":
    """Return the shares of rows beyond the smallest or largest value of all other periods."""
    shares = np.zeros(len(rows))
    for values in (found, -found):
        most = pd.Series(values).groupby(numbers).max().nlargest(2)
        if len(most) == 2:  # only the period with the largest value has rows beyond the others
            piece = most.index[0]
            beyond = (values[numbers == piece] > most.iloc[1]).sum()
            shares[piece] += beyond / rows[piece]
    return shares
