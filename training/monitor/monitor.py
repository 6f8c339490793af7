"""The order of a monitoring: read the log, compare each version with its training, find alarms.

The result is a document of plain values, from which report, run and messages are made. It depends
on the log as of a moment and on the registry, on no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
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
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Pairs
from cloche.training.monitor.alarms import Alarm, alarms_of, day_text
from cloche.training.monitor.attribution import explain_fall
from cloche.training.monitor.checked_version import CheckedVersion, describe, measure
from cloche.training.monitor.estimate import estimator_of
from cloche.training.monitor.input_checks import check_inputs
from cloche.training.monitor.limits import CHECKS, QUARTER
from cloche.training.monitor.logged_days import (
    Log,
    inputs_of,
    outputs_of,
    read_days,
    unfinished_days,
)
from cloche.training.monitor.quality import LabelledRows, slice_texts
from cloche.training.monitor.quality_checks import QualityChecks, check_quality
from cloche.training.monitor.threshold_check import check_threshold
from cloche.training.monitor.version_reference import (
    Probing,
    VersionReference,
    read_reference,
)
from cloche.training.names import PROMOTED_AT
from cloche.values.progress import Say

SCHEMA = 1


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
        versions = list[CheckedVersion]()
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
        "versions": [describe(one, log) for one in versions],
    }


def open_alarms(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the alarms that go on."""
    return [alarm for alarm in document["alarms"] if alarm["open"]]


def _checked(reference: VersionReference, log: Log, *, share: float) -> CheckedVersion:
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
    return CheckedVersion(
        reference, inputs, rows, frame, estimator, unfinished, quality, tuple(notes)
    )


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


def _judged(versions: Iterable[CheckedVersion]) -> dict[tuple[str, str], list[int]]:
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
    alarm: Alarm, versions: Iterable[CheckedVersion], log: Log,
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
        found = measure((metric,), some)[metric]["value"]
        if found is not None:
            split = explain_fall(
                client, one.reference, log, model=model, rows=one.frame[chosen], found=found,
                probing=probing,
            )  # fmt: skip
            said.append(split)
    return replace(alarm, explained="; ".join(filter(None, said)))


def _promotions(known: dict[str, Any], as_of: datetime | None) -> list[dict[str, str]]:
    found = [
        {"version": number, "at": version.tags[PROMOTED_AT]}
        for number, version in known.items()
        if PROMOTED_AT in version.tags
        and (as_of is None or datetime.fromisoformat(version.tags[PROMOTED_AT]) <= as_of)
    ]
    return sorted(found, key=lambda one: one["at"])
