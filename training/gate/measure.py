"""Measures the judged version and the production version on the same rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
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
from cloche.training.gate.holdout import Holdout, fetch_holdout, require_inputs
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
    allow_breaking: bool = False,
    timeout: float,
    extra_names: Sequence[str] = (),
    interpreter: Callable[[Path], str] = lambda _: "",
    say: Say,
) -> MeasuredVersion:
    """Measure a version, and the production version if there is one.

    Raises:
        NotMeasured: A process of the gate could not do its work.
        RegistryError: The holdout cannot be fetched.
        DataError: The table cannot be read or judged on.
        TrainingError: The target column does not fit the task.
    """
    say("fetching the holdout")
    holdout = fetch_holdout(client, policy, candidate.version.run_id)
    if candidate.stages:
        require_inputs(holdout, candidate)
    truth = holdout.frame[policy.target]
    target = policy.target_of(truth)
    inputs = [name for name in holdout.frame.columns if name != policy.target]
    records = record_numbers(holdout.frame, inputs, policy.target)

    notes: list[str] = []

    def probe_and_score(model: FetchedVersion) -> tuple[ProbeResult, Pairs | None]:
        if model.misfit:
            return ProbeResult({"load": model.misfit}), None
        say(f"probing {model.label} on {len(truth):,} rows")
        try:
            probe_result = probe(
                model.folder,
                holdout.frame,
                target,
                target_column=policy.target,
                features=policy.features,
                output=policy.output,
                latency=model is candidate,  # no criterion asks for production's
                timeout=timeout,
                extra_names=extra_names,
                interpreter=interpreter,
            )
        except NotMeasured as error:
            if model is production and allow_breaking:
                return ProbeResult({"load": str(error)}), None
            raise NotMeasured(
                f"{model.label} could not be judged, and nothing was written about it: {error}"
            ) from error
        if probe_result.mismatches:
            mismatches = ", ".join(probe_result.mismatches)
            notes.append(
                f"{model.label} was measured where it was not logged: {mismatches}; "
                "--env-manager uv measures each version in an environment of its own"
            )
        predictions = probe_result.predictions
        return probe_result, None if predictions is None else Pairs.pair(truth, predictions)

    probe_result, pairs = probe_and_score(candidate)
    comparison = None
    if production is not None:
        production_probe, production_pairs = probe_and_score(production)
        say("comparing the two, row by row")
        both = (
            (pairs, production_pairs)
            if pairs is not None and production_pairs is not None
            else None
        )
        comparison = replace(
            _comparison(policy, production, production_probe, both, records),
            breaking_changes=(
                (f"what they send is not known: {production.misfit}",)
                if production.misfit
                else breaking_changes(production.model.signature, candidate.model.signature)
            ),
        )
    parts, slicing_failures = _slices(policy, holdout, pairs)
    scores = {} if pairs is None else score_all(policy.measured_metrics, pairs)
    say("drawing intervals")
    found = _intervals(policy, pairs, records)
    return MeasuredVersion(
        Measurements(
            rows=len(truth),
            scores=scores,
            undefined={} if pairs is None else undefined_reasons(pairs, scores),
            slices=tuple(parts),
            slicing_failures=slicing_failures,
            latency_ms=probe_result.latency_ms,
            load_seconds=probe_result.load_seconds,
            failures=failures_of(probe_result),
            comparison=comparison,
        ),
        found,
        holdout,
        (
            *notes,
            *_notes(holdout, production, copies=len(records) - len(np.unique(records))),
            *(remarks(pairs, found) if pairs is not None else ()),
        ),
        probe_result.environment,
    )


def failures_of(probe_result: ProbeResult) -> dict[Stage, str]:
    """Return the failures of a probe, each with the packages that differ from those logged."""
    differs = (
        f" (logged with {', '.join(probe_result.mismatches)})" if probe_result.mismatches else ""
    )
    return {stage: f"{text}{differs}" for stage, text in probe_result.failures.items()}


def _comparison(
    policy: Policy,
    production: FetchedVersion,
    production_probe: ProbeResult,
    both: tuple[Pairs, Pairs] | None,
    records: RecordNumbers,
) -> Comparison:
    """Compare the judged and the serving version; `both` is None if one did not predict."""
    version = production.number_with_stages
    if both is None:
        failures = failures_of(production_probe)
        reason = failures.get("load") or failures.get("predict")
        return Comparison(version, failure=reason or "the judged version did not predict")
    differences = paired_differences(
        *both,
        policy.measured_metrics,
        resamples=policy.gate.resamples,
        confidence=policy.confidence,
        seed=policy.seed,
        records=records,
    )
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
