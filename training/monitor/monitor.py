"""The order of a monitoring: read the log, compare each version with its training, find alarms.

The result is a document of plain values, from which report, run and messages are made. It depends
on the log as of a moment and on the registry, on no clock.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from cloche.prediction_log.destination import Destination
from cloche.prediction_log.reading import Selection
from cloche.registry.version_listing import versions_of
from cloche.training.errors import RegistryError, TrainingError
from cloche.training.evaluation.intervals import intervals
from cloche.training.evaluation.metrics import is_computable
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs, Predictions
from cloche.training.monitor.alarms import Alarm, alarms_of, day_text
from cloche.training.monitor.attribution import explain_fall
from cloche.training.monitor.completeness import unfinished_days
from cloche.training.monitor.estimate import Estimator, estimator_of
from cloche.training.monitor.input_checks import InputChecks, check_inputs
from cloche.training.monitor.limits import CHECKS, QUARTER
from cloche.training.monitor.logged_days import Log, inputs_of, outputs_of, read_days
from cloche.training.monitor.quality import LabelledRows, goodness, signed, slice_texts
from cloche.training.monitor.quality_checks import FEWEST, QualityChecks, check_quality
from cloche.training.monitor.threshold_check import check_threshold
from cloche.training.monitor.version_reference import (
    Probing,
    VersionReference,
    read_reference,
)
from cloche.training.names import PROMOTED_AT
from cloche.values.progress import Say

SCHEMA = 1
_RESAMPLES = 100
_INTERVAL_ROWS = 2_000  # rows of a day from which intervals are drawn; beyond, the error is small


@dataclass(frozen=True)
class _Version:
    """A version with its rows and what the checks found."""

    reference: VersionReference
    inputs: InputChecks
    rows: LabelledRows | None
    frame: pd.DataFrame
    estimator: Estimator | None
    unfinished: dict[int, str]
    quality: QualityChecks
    notes: tuple[str, ...]


def monitor(
    client: MlflowClient, destination: Destination, selection: Selection, *, probing: Probing,
    say: Say = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Compare what a model answered with what it was in training.

    Args:
        client: MLflow client for the tracking store and the registry.
        destination: Where the log is.
        selection: The model, and which of its rows.
        probing: How versions are run.
        say: Called with a description of each step as it begins.

    Raises:
        LogError: DuckDB is not installed.
        DestinationFailed: The destination does not answer.
        RegistryError: The log has no answers of the model in these days.
    """
    say(f"reading the log {destination.uri}")
    log = read_days(destination, selection)
    if not log.days:
        raise RegistryError(
            f"{destination.uri} has no answers of {selection.model} in these days; `cloche serve "
            "--log` writes them, and --since and --until say which days are read"
        )
    known = {str(one.version): one for one in versions_of(client, selection.model)}
    with TemporaryDirectory(prefix="cloche-") as folder:
        versions = list[_Version]()
        for number in log.versions:
            say(f"measuring version {number}")
            reference = (
                read_reference(client, known[number], Path(folder, number), probing)
                if number in known
                else VersionReference(number, notes=(f"version {number} is not in the registry",))
            )
            versions.append(_checked(reference, log, share=1 / len(log.versions)))
        exceedances = [
            f for one in versions for f in (*one.inputs.exceedances, *one.quality.exceedances)
        ]
        references = [one.reference for one in versions]
        for before, reference in zip([None, *references], references, strict=False):
            exceedances += check_threshold(reference, before, log)
        alarms = alarms_of(exceedances, _judged(versions), _last_days(log))
        say("looking where falls come from")
        alarms = [
            _explained(alarm, versions, log, client=client, model=selection.model, probing=probing)
            for alarm in alarms
        ]
    as_of = selection.as_of
    return {
        "schema": SCHEMA,
        "model": selection.model,
        "log": destination.uri,
        "as_of": as_of.isoformat(timespec="seconds") if as_of else None,
        "first_day": day_text(min(one.day for one in log.days)),
        "last_day": day_text(max(one.day for one in log.days)),
        "budget": {"false_alarms": 1, "days": QUARTER, "checks": list(CHECKS)},
        "alarms": [alarm.as_document() for alarm in alarms],
        "promotions": _promotions(known, as_of),
        "versions": [_described(one, log) for one in versions],
    }


def open_alarms(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the alarms that go on."""
    return [alarm for alarm in document["alarms"] if alarm["open"]]


def _checked(reference: VersionReference, log: Log, *, share: float) -> _Version:
    number = reference.number
    inputs = check_inputs(reference, log, share=share)
    unfinished = unfinished_days(log.days_of(number))
    frame = log.rows_of(number)
    rows, notes = None, list(reference.notes)
    try:
        rows, frame = _labelled(reference, frame, log)
    except TrainingError as error:
        notes.append(f"version {number}: its logged answers cannot be measured: {error}")
    finished = None if rows is None else rows.take(~np.isin(rows.days, list(unfinished)))
    metric = reference.metrics[0] if reference.metrics else ""
    estimator = estimator_of(reference.holdout, metric)
    quality = QualityChecks()
    if finished is not None:
        alike = [day for day in inputs.days if not inputs.unlike_training(day)]
        quality = check_quality(reference, finished, estimator, estimated_days=alike, share=share)
    return _Version(reference, inputs, rows, frame, estimator, unfinished, quality, tuple(notes))


def _labelled(
    reference: VersionReference, sample: pd.DataFrame, log: Log
) -> tuple[LabelledRows | None, pd.DataFrame]:
    """Return the rows that have labels, with their predictions, and the sample of these rows.

    Raises:
        TrainingError: The outputs or the labels are not those of the version's target.
    """
    policy, target = reference.policy, reference.target
    if policy is None or target is None:
        return None, sample
    truth = sample["label_number" if target.task == "regression" else "label"]
    sample = sample[truth.notna()].sort_values("day", kind="stable")
    truth = truth.loc[sample.index]
    if sample.empty:
        return None, sample
    outputs = outputs_of(sample)
    pairs = Pairs.pair(truth, read(outputs, target, rows=len(sample), name=policy.output))
    labels = pairs.truth if target.task == "regression" else np.asarray(target.classes)[pairs.truth]
    slices = slice_texts(inputs_of(sample, log.inputs), policy.sliced_columns)
    rows = LabelledRows(pairs, 1 / sample["inclusion"].to_numpy(), sample["day"].to_numpy(), slices)
    return rows, sample.assign(truth=labels)


def _judged(versions: Iterable[_Version]) -> dict[tuple[str, str], list[int]]:
    found = {}
    for one in versions:
        finished = set() if one.rows is None else set(one.rows.days.tolist()) - set(one.unfinished)
        for check in CHECKS:
            of_inputs = check in ("drift", "standstill", "gone", "threshold")
            found[check, one.reference.number] = (
                list(one.inputs.days) if of_inputs else sorted(finished)
            )
    return found


def _last_days(log: Log) -> dict[str, int]:
    return {number: log.days_of(number)[-1].day for number in log.versions}


def _explained(
    alarm: Alarm, versions: Iterable[_Version], log: Log,
    *, client: MlflowClient, model: str, probing: Probing,
) -> Alarm:  # fmt: skip
    """Add to an alarm about quality which inputs are wrong, or where the fall comes from."""
    if alarm.check not in ("quality", "estimate"):
        return alarm
    one = next(one for one in versions if one.reference.number == alarm.version)
    days = range(alarm.days[0] - 6, alarm.days[-1] + 1)
    wrong = sorted({f.subject for f in one.inputs.exceedances if f.day in days})
    said = [f"beside it {', '.join(wrong)} raised an alarm" if wrong else ""]
    if alarm.is_open and one.rows is not None:
        chosen = np.isin(one.rows.days, alarm.days)
        metric = one.reference.metrics[0]
        some = one.rows.take(chosen)
        found = _values((metric,), some)[metric]["value"]
        if found is not None:
            split = explain_fall(
                client, one.reference, log, model=model, rows=one.frame[chosen], found=found,
                probing=probing,
            )  # fmt: skip
            said.append(split)
    return replace(alarm, explained="; ".join(filter(None, said)))


def _values(metrics: Iterable[str], rows: LabelledRows) -> dict[str, dict[str, float | None]]:
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


def _described(one: _Version, log: Log) -> dict[str, Any]:
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
                "metrics": _values(reference.metrics, rows)
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


def _estimate(one: _Version, day: int, log: Log) -> dict[str, Any] | None:
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


def _promotions(known: dict[str, Any], as_of: datetime | None) -> list[dict[str, str]]:
    found = [
        {"version": number, "at": version.tags[PROMOTED_AT]}
        for number, version in known.items()
        if PROMOTED_AT in version.tags
        and (as_of is None or datetime.fromisoformat(version.tags[PROMOTED_AT]) <= as_of)
    ]
    return sorted(found, key=lambda one: one["at"])


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
