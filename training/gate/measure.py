"""Measures the judged version and the production version on the same rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from cloche.training.dataset.checks.duplicates import record_numbers
from cloche.training.dataset.checks.target_column import missing_target_note
from cloche.training.errors import DataError, NotMeasured
from cloche.training.evaluation.intervals import (
    Interval,
    RecordNumbers,
    intervals,
    paired_differences,
)
from cloche.training.evaluation.metrics import is_computable, score_all
from cloche.training.evaluation.predictions import Pairs
from cloche.training.evaluation.remarks import remarks, undefined_reasons
from cloche.training.evaluation.slices import slices
from cloche.training.gate.fetched_version import FetchedVersion
from cloche.training.gate.holdout import (
    Holdout,
    fetch_holdout,
    require_columns,
    require_inputs,
)
from cloche.training.gate.live_rows import live_holdout
from cloche.training.gate.policy import Policy, holdout_digest
from cloche.training.gate.probe_process import ProbeResult, probe
from cloche.training.gate.signature_changes import breaking_changes
from cloche.training.measurements import Comparison, Measurements, Slice, Stage
from cloche.values.progress import Say


@dataclass(frozen=True)
class MeasuredVersion:
    """Measurements, with the rows and the environment in which they were made.

    Attributes:
        measurements: Numbers that the decision is based on.
        intervals: Metric → value of the judged version with its two-sided interval.
        holdout: Rows of the measurement.
        notes: What a reader of the numbers should know.
        environment: Environment in which the judged version was measured.
    """

    measurements: Measurements
    intervals: Mapping[str, Interval]
    holdout: Holdout
    notes: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)


def measure(
    client: MlflowClient,
    policy: Policy,
    candidate: FetchedVersion,
    production: FetchedVersion | None,
    *,
    live: str | None = None,
    allow_breaking: bool = False,
    timeout: float,
    extra_names: Sequence[str] = (),
    interpreter: Callable[[Path], str] = lambda _: "",
    say: Say,
) -> MeasuredVersion:
    """Measure a version, and the production version if there is one.

    Args:
        client: MLflow client for the registry and the runs.
        policy: What is measured.
        candidate: The judged version.
        production: The version that it is compared with; None if none serves.
        live: Which logged rows it is measured on (`live_holdout`); None for the policy's holdout.
        allow_breaking: Whether it is no failure of the gate that production cannot be probed.
        timeout: As of `probe_process.probe`, like the next two.
        extra_names: See there.
        interpreter: See there.
        say: Called with a description of each step as it begins.

    Raises:
        NotMeasured: A process of the gate could not do its work.
        RegistryError: The holdout cannot be fetched.
        DataError: The table cannot be read or judged on.
        TrainingError: The target column does not fit the task.
    """
    if live is None:
        say("fetching the holdout")
        holdout = fetch_holdout(client, policy, candidate.version.run_id)
    else:
        say("reading the log")
        versions = [one.version for one in (candidate, production) if one is not None]
        holdout = require_columns(live_holdout(client, policy, versions, live), policy)
    if candidate.stages:
        require_inputs(holdout, candidate)
    truth = holdout.frame[policy.target]
    target = policy.target_of(truth)
    inputs = [name for name in holdout.frame.columns if name != policy.target]
    records = record_numbers(holdout.frame, inputs, policy.target)
    start_probe = partial(
        probe, holdout=holdout.frame, target=target, target_column=policy.target,
        features=policy.features, output=policy.output,
        timeout=timeout, extra_names=extra_names, interpreter=interpreter,
    )  # fmt: skip
    probed = _probe(candidate, truth, partial(start_probe, latency=True), say)
    notes, comparison = list(_environment_notes(candidate, probed)), None
    if production is not None:  # no criterion asks for its latency
        serving = _probe(
            production, truth, partial(start_probe, latency=False), say, may_fail=allow_breaking
        )
        notes += _environment_notes(production, serving)
        say("comparing the two, row by row")
        comparison = replace(
            _comparison(policy, production, serving, probed, records),
            breaking_changes=(
                (f"what they send is not known: {production.misfit}",)
                if production.misfit
                else breaking_changes(production.model.signature, candidate.model.signature)
            ),
        )
    measurements = _measurements(policy, holdout, probed, comparison)
    say("drawing intervals")
    found = _intervals(policy, probed.pairs, records)
    notes += _notes(holdout, production, copies=len(records) - len(np.unique(records)))
    if probed.pairs is not None:
        notes += remarks(probed.pairs, found)
    return MeasuredVersion(measurements, found, holdout, tuple(notes), probed.result.environment)


@dataclass(frozen=True)
class _Probed:
    """The probe of a version, and its predictions beside the truth; None if it made none."""

    result: ProbeResult
    pairs: Pairs | None = None


def _probe(
    model: FetchedVersion, truth: pd.Series, start_probe: Callable[[Path], ProbeResult], say: Say,
    *, may_fail: bool = False,
) -> _Probed:  # fmt: skip
    """Probe a version; `may_fail` makes it a failure of the version that it cannot be probed."""
    if model.misfit:
        return _Probed(ProbeResult({"load": model.misfit}))
    say(f"probing {model.label} on {len(truth):,} rows")
    try:
        result = start_probe(model.folder)
    except NotMeasured as error:
        if may_fail:
            return _Probed(ProbeResult({"load": str(error)}))
        raise NotMeasured(
            f"{model.label} could not be judged, and nothing was written about it: {error}"
        ) from error
    predictions = result.predictions
    return _Probed(result, None if predictions is None else Pairs.pair(truth, predictions))


def _environment_notes(model: FetchedVersion, probed: _Probed) -> Iterator[str]:
    if probed.result.mismatches:
        yield (
            f"{model.label} was measured where it was not logged: "
            f"{', '.join(probed.result.mismatches)}; "
            "--env-manager uv measures each version in an environment of its own"
        )


def _measurements(
    policy: Policy, holdout: Holdout, probed: _Probed, comparison: Comparison | None
) -> Measurements:
    pairs = probed.pairs
    parts, slicing_failures = _slices(policy, holdout, pairs)
    scores = {} if pairs is None else score_all(policy.measured_metrics, pairs)
    return Measurements(
        rows=len(holdout.frame),
        scores=scores,
        undefined={} if pairs is None else undefined_reasons(pairs, scores),
        slices=tuple(parts),
        slicing_failures=slicing_failures,
        latency_ms=probed.result.latency_ms,
        load_seconds=probed.result.load_seconds,
        failures=failures_of(probed.result),
        comparison=comparison,
    )


def failures_of(probe_result: ProbeResult) -> dict[Stage, str]:
    """Return the failures of a probe, each with the packages that differ from those logged."""
    differs = (
        f" (logged with {', '.join(probe_result.mismatches)})" if probe_result.mismatches else ""
    )
    return {stage: f"{text}{differs}" for stage, text in probe_result.failures.items()}


def _comparison(
    policy: Policy, production: FetchedVersion, serving: _Probed, judged: _Probed,
    records: RecordNumbers,
) -> Comparison:  # fmt: skip
    """Compare the serving and the judged version."""
    version = production.number_with_stages
    if judged.pairs is None or serving.pairs is None:
        failures = failures_of(serving.result)
        reason = failures.get("load") or failures.get("predict")
        return Comparison(version, failure=reason or "the judged version did not predict")
    differences = paired_differences(
        judged.pairs, serving.pairs, policy.measured_metrics, resamples=policy.gate.resamples,
        confidence=policy.confidence, seed=policy.seed, records=records,
    )  # fmt: skip
    return Comparison(version, differences)


def _intervals(policy: Policy, pairs: Pairs | None, records: RecordNumbers) -> dict[str, Interval]:
    if pairs is None:
        return {}
    known = [metric for metric in policy.measured_metrics if is_computable(metric, pairs)]
    return intervals(
        pairs, known, resamples=policy.gate.resamples, seed=policy.seed, records=records
    )


def _slices(
    policy: Policy, holdout: Holdout, pairs: Pairs | None
) -> tuple[list[Slice], dict[str, str]]:
    parts: list[Slice] = []
    slicing_failures: dict[str, str] = {}
    if pairs is None:
        return parts, slicing_failures
    for column in policy.sliced_columns:
        if column not in holdout.frame.columns:
            slicing_failures[column] = "the holdout has no such column"
            continue
        try:
            parts += slices(holdout.frame[column], pairs, policy.measured_metrics)
        except DataError as error:
            slicing_failures[column] = "; ".join(error.problems)
    return parts, slicing_failures


def _notes(holdout: Holdout, production: FetchedVersion | None, *, copies: int) -> Iterator[str]:
    if holdout.without_target:
        rows = len(holdout.frame) + holdout.without_target
        yield f"in the holdout, {missing_target_note(holdout.without_target, rows)}"
    if copies:
        yield (
            f"{copies:,} of the {len(holdout.frame):,} rows of the holdout are copies of others: "
            "metrics count them all, intervals each record once"
        )
    if holdout.live:
        yield holdout.live
        return
    if production is None:
        return
    label = f"production version {production.version.version}"
    trained_beside = holdout_digest(production.model.metadata)
    if trained_beside is None:
        yield f"{label} was not trained by Cloche: it may have seen rows of this holdout"
    elif trained_beside != holdout.digest:
        yield (
            f"{label} was trained beside another holdout: it may have seen rows of this one, "
            "which makes it look better than it is"
        )
