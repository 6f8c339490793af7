"""The MLflow run of a rollout: each look as metrics, and at the end the document and the report.

The series of the looks are read back from the run, so a rollout that several drivers walked one
after the other has one record.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from cloche.rollout.plan import Plan
from cloche.rollout.verdict import EValue
from cloche.training.gate.evidence_run import REPORT_ARTIFACT, experiment_of
from cloche.training.rollout.look import Look
from cloche.training.rollout.report import evidence_plot, render
from cloche.training.rollout.rollout_state import RolloutState

SCHEMA = 1
DOCUMENT_ARTIFACT = "rollout.json"
_PAUSE = timedelta(minutes=1)  # between two records of looks that decide the same
_DECISIONS = {"abort": -1, "hold": 0, "advance": 1}


def start_run(
    client: MlflowClient, state: RolloutState, plan: Plan, *, training_run_id: str | None
) -> str:
    """Begin the run of a rollout; return its id."""
    run_id: str = client.create_run(
        experiment_of(client, training_run_id),
        run_name=f"rollout {state.model.name} v{state.version}",
        tags={
            "cloche.kind": "rollout",
            "cloche.model": state.model.name,
            "cloche.version": state.version,
            "cloche.production": state.model.production or "",
        },
    ).info.run_id
    params = {"model": state.model.name, "version": state.version, **_flat(asdict(plan))}
    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in params.items()])
    return run_id


class EvidenceRun:
    """The run of a rollout that goes on."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._began = client.get_run(run_id).info.start_time
        self._recorded: Look | None = None

    def record(self, look: Look) -> None:
        """Write a look as metrics, whose step is the second of the rollout.

        Looks come every few seconds for days, so one that decides the same is written each minute.
        """
        last, self._recorded = self._recorded, look
        same = last is not None and (last.step, last.verdict.decision) == (
            look.step,
            look.verdict.decision,
        )
        if last is not None and same and look.at - last.at < _PAUSE:
            self._recorded = last
            return
        millis = round(look.at.timestamp() * 1_000)
        second = max(0, round((millis - self._began) / 1_000))
        metrics = [Metric(name, value, millis, second) for name, value in _metrics(look).items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def add_event(self, look: Look, what: str) -> None:
        """Add a step, a pause or the end to the document, with the look at which it happened."""
        document, event = self.read(), {"what": what, **look.as_document()}
        known = {(one["what"], one["since"]) for one in document["events"]}
        if (what, event["since"]) not in known:  # else a driver died behind it
            document["events"].append(event)
            self._client.log_dict(self._run_id, document, DOCUMENT_ARTIFACT)

    def read(self) -> dict[str, Any]:
        """Return the document of the run."""
        try:
            with TemporaryDirectory(prefix="cloche-") as folder:
                path = self._client.download_artifacts(self._run_id, DOCUMENT_ARTIFACT, folder)
                found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
                return found
        except (MlflowException, OSError):  # nothing has happened yet
            return {"schema": SCHEMA, "events": []}

    def finish(self, look: Look, outcome: str, reason: str) -> None:
        """Write the whole document, the plot and the report, and end the run."""
        plan = look.state.plan
        document = {
            **self.read(),
            **look.as_document(),
            "outcome": outcome,
            "reason": reason,
            "plan": asdict(plan),
            "counts": json.loads(look.state.counts.as_json()),
            "evidence": [_plain(one) for one in look.verdict.evidence],
            "looks": self._series(look),
        }
        self._client.log_dict(self._run_id, document, DOCUMENT_ARTIFACT)
        plot = evidence_plot(document)
        with TemporaryDirectory(prefix="cloche-") as folder:
            path = Path(folder, "evidence.png")
            path.write_bytes(plot)
            self._client.log_artifact(self._run_id, str(path), "plots")
        self._client.log_text(self._run_id, render(document, plot), REPORT_ARTIFACT)
        self._client.set_tag(self._run_id, "cloche.decision", outcome)
        self._client.set_terminated(self._run_id, "FINISHED")

    def _series(self, look: Look) -> dict[str, list[list[float]]]:
        """Return metric → [milliseconds since 1970, value] of each look."""
        names = self._client.get_run(self._run_id).data.metrics.keys() | _metrics(look).keys()
        return {
            name: [
                [one.timestamp, one.value]
                for one in self._client.get_metric_history(self._run_id, name)
            ]
            for name in sorted(names)
        }


def _metrics(look: Look) -> dict[str, float]:
    found: dict[str, float] = {
        f"share/{look.step.alias}": look.step.percent,
        "verdict": _DECISIONS[look.verdict.decision],
        "servers": len(look.state.servers),
    }
    for arm, rate in look.arms.items():
        found |= {f"{arm}/requests": rate.requests, f"{arm}/bad": rate.bad}
    for one in look.verdict.evidence:
        name = one.name.replace(": ", "_").replace(" ", "_")
        found |= {f"evidence/{name}": one.log_e, f"limit/{name}": one.log_limit}
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _plain(one: EValue) -> dict[str, Any]:
    log_e = one.log_e if math.isfinite(one.log_e) else None
    return {**asdict(one), "log_e": log_e, "proven": one.proven}


def _flat(values: Mapping[str, Any], prefix: str = "plan") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}.{name}"
        found |= _flat(value, key) if isinstance(value, Mapping) else {key: value}
    return found
