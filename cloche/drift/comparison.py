"""Compares the counts of scored rows with the profile of their version, column by column."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cloche.drift.judgement import DRIFTED, RARE, Distance, DriftMeasure, chance, distance, judge

_MOST_BARS = 24


def compare(
    statistics: Mapping[str, Any], profile: Mapping[str, Any], rows: int, *, rare: float = RARE
) -> dict[str, Any]:
    """Compare the statistics of rows with a profile.

    Args:
        statistics: The counts, as `cloche.drift.statistics` makes them.
        profile: The reference profile of the version; empty for a version without one.
        rows: The number of rows that were scored; the periods of about that size are the measure.
        rare: The accepted share of ordinary batches in which any measure is beyond its limit.

    Returns:
        `like` (the periods that the rows were compared with), `scores` and `columns`: for each of
        them the measure that is largest beside its limit, with a verdict; the worst column first.
    """
    columns, references = profile.get("columns", {}), profile.get("scores", {})
    seen = statistics.get("columns", {}), statistics.get("scores", {})
    periods = _periods(profile, rows, sum(len(one) for one in seen), rare)
    return {
        "like": {
            "unit": periods.unit,
            "count": periods.count,
            "looks": periods.comparisons,
            "rare": rare,
        },
        "scores": [
            _compared(name, found, references.get(name), periods) for name, found in seen[1].items()
        ],
        "columns": sorted(
            (
                _compared(name, found, _reference(columns[name]), periods)
                for name, found in seen[0].items()
            ),
            key=lambda one: (-one["share"], -(one["psi"] or 0.0)),
        ),
    }


def drifted(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of the drifted scores and columns, the columns with the worst first."""
    return {
        kind: [one["name"] for one in report[kind] if one["verdict"] == "drifted"]
        for kind in ("scores", "columns")
    }


@dataclass(frozen=True, slots=True)
class _Periods:
    """The periods of the training rows with which a batch is compared.

    Attributes:
        unit: `day` or `week`; empty to compare with all training rows.
        count: The number of periods in the training rows.
        rows: The number of rows of a usual period.
        comparisons: The number of measures judged together; 1 for profiles of older releases.
        rare: The accepted share of ordinary batches with any measure beyond its limit.
    """

    unit: str
    count: int
    rows: int
    comparisons: int
    rare: float


def _periods(profile: Mapping[str, Any], rows: int, columns: int, rare: float) -> _Periods:
    """Return the periods (days or weeks) whose usual number of rows is nearest to the batch."""
    pieces = profile.get("pieces")
    if not pieces:
        return _Periods("", 0, 0, 1 if pieces is None else max(columns, 1), rare)
    unit = min(pieces, key=lambda one: abs(math.log(max(rows, 1) / pieces[one]["rows"])))
    described = [*profile["columns"].values(), *profile["scores"].values()]
    comparisons = sum(len(one.get("usual", {}).get(unit, ())) for one in described)
    return _Periods(unit, pieces[unit]["count"], pieces[unit]["rows"], comparisons, rare)


def _reference(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the distribution of a column in the profile; for texts, that of their lengths."""
    return {**described, **described.get("length", {})}


def _compared(
    name: str, found: Mapping[str, Any], reference: Mapping[str, Any] | None, periods: _Periods
) -> dict[str, Any]:
    """Compare a column or score with its reference; `bars` are shares of rows per bin or value."""
    reference = reference or {}
    labels, before, after = _bins(found, reference)
    compared = distance(before, after, periods.comparisons) if reference else None
    rows = found["present"] + found["missing"]
    usual = reference.get("usual", {}).get(periods.unit)
    worst = (
        _worst(found, reference, periods, compared.psi, len(labels)) if usual and compared else None
    )
    return {
        "name": name,
        "missing": found["missing"] / rows if rows else 0.0,
        "missing_before": _share_missing(reference),
        "mean": found["sum"] / found["present"] if found.get("sum") and found["present"] else None,
        "mean_before": reference.get("mean"),
        "outside": found.get("outside", found.get("other", 0)) / rows if rows else 0.0,
        "psi": compared.psi if compared else None,
        "p_value": compared.p_value if compared else None,
        "verdict": worst.verdict if worst else compared.verdict if compared else "unknown",
        "measure": worst.measure if worst else "psi",
        "found": worst.found if worst else compared.psi if compared else None,
        "usual": worst.usual if worst else None,
        "red": worst.red if worst else DRIFTED,
        "share": worst.share if worst else compared.psi / DRIFTED if compared else 0.0,
        "bars": _bars(labels, before, after),
    }


def _worst(
    found: Mapping[str, Any], reference: Mapping[str, Any], periods: _Periods, psi: float, bins: int
) -> DriftMeasure:
    """Return the measure of a column that is largest relative to its limit."""
    rows = found["present"] + found["missing"]
    values = {"psi": psi, "outside": found.get("outside", found.get("other", 0)) / rows}
    values["missing"] = abs(found["missing"] / rows - (_share_missing(reference) or 0.0))
    if found.get("sum") is not None and found["present"] and reference.get("mean") is not None:
        mean = found["sum"] / found["present"]
        values["shift"] = abs(mean - reference["mean"]) / (reference["std"] or 1.0)
    by_chance = chance(rows, periods.rows, bins, periods.comparisons, periods.rare)
    judged = judge(
        values, reference["usual"][periods.unit], comparisons=periods.comparisons,
        chance=by_chance, rare=periods.rare,
    )  # fmt: skip
    return max(judged, key=lambda one: one.share)


def change(
    first: Mapping[str, Any], second: Mapping[str, Any], described: Mapping[str, Any]
) -> Distance | None:
    """Compare two counts of one column; None if one of them has no rows.

    Args:
        first: The counts of some rows, as `cloche.drift.statistics` makes them.
        second: The counts of other rows.
        described: The column in the profile, whose bins both have.
    """
    reference = _reference(described)
    return distance(_bins(first, reference)[2], _bins(second, reference)[2])


def _bins(
    found: Mapping[str, Any], reference: Mapping[str, Any]
) -> tuple[list[str], list[float], list[float]]:
    """Return labels, counts in training and counts now; the last bin counts missing values."""
    if "values" in found:
        known = reference.get("counts", {})
        names = list(known) or sorted(found["values"], key=lambda name: -found["values"][name])
        labels = [*names, "other", "missing"]
        before = [*(known.get(name, 0) for name in names), reference.get("other", 0)]
        after = [*(found["values"].get(name, 0) for name in names), found["other"]]
    elif "counts" in found:
        edges = reference.get("edges") or [at / 20 for at in range(21)]
        labels = [*(f"{_number(a)} to {_number(b)}" for a, b in pairwise(edges)), "missing"]
        before = list(reference.get("counts", [0] * (len(edges) - 1)))
        after = list(found["counts"])
    else:
        labels, before, after = ["present", "missing"], [_present(reference)], [found["present"]]
    return labels, [*before, reference.get("missing", 0)], [*after, found["missing"]]


def _present(reference: Mapping[str, Any]) -> float:
    counts = reference.get("counts")
    values = counts.values() if isinstance(counts, Mapping) else counts or ()
    return float(sum(values) + reference.get("other", 0))


def _share_missing(reference: Mapping[str, Any]) -> float | None:
    rows = _present(reference) + reference.get("missing", 0)
    return reference.get("missing", 0) / rows if rows else None


def _bars(labels: list[str], before: list[float], after: list[float]) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = [
        {
            "label": label,
            "before": one / sum(before) if sum(before) else None,
            "after": other / sum(after) if sum(after) else 0.0,
        }
        for label, one, other in zip(labels, before, after, strict=True)
        if one or other
    ]
    if len(bars) <= _MOST_BARS:
        return bars
    largest = sorted(bars, key=lambda bar: -max(bar["before"] or 0, bar["after"]))[:_MOST_BARS]
    return [bar for bar in bars if bar in largest]


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:,.{digits}g}"
