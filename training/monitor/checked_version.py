"""A version that was checked against its log, and what it says in the document of a monitoring."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cloche.training.evaluation.intervals import intervals
from cloche.training.evaluation.metrics import is_computable
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Predictions
from cloche.training.monitor.alarms import day_text
from cloche.training.monitor.estimate import Estimator
from cloche.training.monitor.input_checks import InputChecks
from cloche.training.monitor.logged_days import Log, outputs_of
from cloche.training.monitor.quality import LabelledRows, goodness, signed
from cloche.training.monitor.quality_checks import FEWEST, QualityChecks
from cloche.training.monitor.version_reference import VersionReference

_RESAMPLES = 100
_INTERVAL_ROWS = 2_000  # rows of a day from which intervals are drawn; beyond, the error is small


@dataclass(frozen=True)
class CheckedVersion:
    """A version with its rows and what the checks found; `frame` holds the sample of its rows."""

    reference: VersionReference
    inputs: InputChecks
    rows: LabelledRows | None
    frame: pd.DataFrame
    estimator: Estimator | None
    unfinished: dict[int, str]
    quality: QualityChecks
    notes: tuple[str, ...]


def describe(one: CheckedVersion, log: Log) -> dict[str, Any]:
    """Return the version, its days and its drift as plain values."""
    reference, usual = one.reference, one.quality.usual.get(1)
    metric = reference.metrics[0] if reference.metrics else None
    days = []
    for logged in log.days_of(reference.number):
        rows = None if one.rows is None else one.rows.window(logged.day, 1)
        measured = rows is not None and len(rows) >= FEWEST
        days.append(
            {
                "day": day_text(logged.day),
                "rows": logged.rows,
                "requests": round(logged.requests, 3),
                "labelled": logged.labelled,
                "coverage": round(logged.coverage, 6),
                "unfinished": one.unfinished.get(logged.day),
                "metrics": measure(reference.metrics, rows)
                if rows is not None and measured
                else {},
                "estimate": _estimate(one, logged.day, log),
            }
        )
    center = None if usual is None or metric is None else signed(metric) * usual.center
    return {
        "version": reference.number,
        "metric": metric,
        "metrics": list(reference.metrics),
        "holdout": {name: list(found) for name, found in (reference.intervals or {}).items()},
        "holdout_days": {"center": center, **_holdout_band(reference)},
        "days": days,
        "slices": list(one.quality.slices),
        "drift": [{**row, "day": day_text(row["day"])} for row in one.inputs.drift],
        "notes": list(one.notes),
    }


def _holdout_band(reference: VersionReference) -> dict[str, float | None]:
    """Return between what bounds the judged metric lay on 95 % of the holdout's days."""
    holdout, values = reference.holdout, list[float]()
    if holdout is not None:
        days = np.unique(holdout.days)
        values = [_value(reference.metrics[0], holdout.window(day, 1)) for day in days]
    defined = [value for value in values if math.isfinite(value)]
    if len(defined) < 20:
        return {"low": None, "high": None}
    low, high = np.quantile(defined, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def _estimate(one: CheckedVersion, day: int, log: Log) -> dict[str, Any] | None:
    """Return the judged metric as it is estimated without labels, or why it is not shown."""
    reference = one.reference
    if one.estimator is None or reference.target is None or day not in one.inputs.days:
        return None
    if unlike := one.inputs.unlike_training(day):
        return {"value": None, "withheld": f"inputs lie outside of training: {', '.join(unlike)}"}
    rows = log.rows_of(reference.number, day)
    predictions: Predictions = read(outputs_of(rows), reference.target, rows=len(rows))
    weights = 1 / rows["inclusion"].to_numpy()
    value = one.estimator.estimate(reference.metrics[0], predictions)(weights)
    return {"value": _plain(value), "withheld": None}


def measure(metrics: Iterable[str], rows: LabelledRows) -> dict[str, dict[str, float | None]]:
    """Return the metrics of the rows with their intervals."""
    named = [metric for metric in metrics if is_computable(metric, rows.pairs)]
    few = rows.take(np.arange(0, len(rows), max(1, -(-len(rows) // _INTERVAL_ROWS))))
    widths = math.sqrt(len(few) / len(rows))
    drawn = intervals(few.pairs, named, resamples=_RESAMPLES, seed=0, weights=few.weights)
    whole = {m: _value(m, rows) for m in named}
    return {
        metric: {
            "value": _plain(whole[metric]),
            "low": _plain(whole[metric] - (one.value - one.low) * widths),
            "high": _plain(whole[metric] + (one.high - one.value) * widths),
        }
        for metric, one in drawn.items()
    }


def _value(metric: str, rows: LabelledRows) -> float:
    return signed(metric) * goodness(metric, rows)(rows.weights)


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
