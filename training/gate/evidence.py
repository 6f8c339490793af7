"""The evidence as plain data, which `evidence.json` stores and the report shows."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from typing import Any, Literal

from cloche.training.gate.judge import Judgement

SCHEMA = 1

GateOutcome = Literal["passed", "refused", "forced"]


def gate_outcome_of(judgement: Judgement, *, forced: bool) -> GateOutcome:
    """Return the value of the tag `cloche.gate`; force has no effect if the gate passed."""
    if judgement.decision.passed:
        return "passed"
    return "forced" if forced else "refused"


def evidence(
    judgement: Judgement, *, outcome: GateOutcome, reason: str | None, now: datetime
) -> dict[str, Any]:
    """Return everything that the decision is based on; undefined numbers are null."""
    measured, policy = judgement.measured, judgement.policy
    numbers, production = measured.measurements, judgement.production
    document = {
        "schema": SCHEMA,
        "model": judgement.candidate.version.name,
        "version": str(judgement.candidate.version.version),
        "production": None if production is None else str(production.version.version),
        "outcome": outcome,
        "reason": reason,
        "judged_at": now.isoformat(timespec="seconds"),
        "verdicts": [asdict(verdict) for verdict in judgement.decision.verdicts],
        "metric": policy.compared_metric,
        "scores": dict(numbers.scores),
        "undefined": dict(numbers.undefined),
        "intervals": {name: asdict(found) for name, found in measured.intervals.items()},
        "differences": {
            name: asdict(found)
            for name, found in (
                numbers.comparison.differences if numbers.comparison else {}
            ).items()
        },
        "slices": [asdict(part) for part in numbers.slices],
        "latency_ms": numbers.latency_ms,
        "load_seconds": numbers.load_seconds,
        "failures": dict(numbers.failures),
        "notes": list(measured.notes),
        "holdout": {
            "source": measured.holdout.source,
            "digest": measured.holdout.digest,
            "rows": numbers.rows,
        },
        "policy": policy.model_dump(mode="json", exclude_none=True, exclude={"data"}),
        "environment": dict(measured.environment),
    }
    for key, judged in (("stages", judgement.candidate), ("production_stages", production)):
        if judged is not None and judged.stages:  # without stages there are no such keys
            document[key] = [asdict(stage) for stage in judged.stages]
    plain: dict[str, Any] = _plain(document)
    return plain


def _plain(value: Any) -> Any:
    """Return a value as JSON can represent it: without `nan` and infinity."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
