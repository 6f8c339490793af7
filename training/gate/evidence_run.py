"""Writes the evidence as an MLflow run: numbers, tables, report, and the dataset of judged rows."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from cloche.training.gate.evidence import GateOutcome, evidence
from cloche.training.gate.fetched_version import uris
from cloche.training.gate.judge import Judgement
from cloche.training.gate.report import render
from cloche.training.names import STAGES

EVIDENCE_ARTIFACT = "evidence.json"
REPORT_ARTIFACT = "report.html"
VERDICTS_ARTIFACT = "verdicts.json"
SLICES_ARTIFACT = "slices.json"

# The evidence of a version without a training run goes to MLflow's default experiment.
_DEFAULT_EXPERIMENT = "0"
_PARAM_CHARACTERS = 500


def record(
    client: MlflowClient,
    judgement: Judgement,
    *,
    outcome: GateOutcome,
    reason: str | None,
    now: datetime,
) -> str:
    """Write a judgement as a finished run beside the run of the training; return the run's id."""
    version = judgement.candidate.version
    document = evidence(judgement, outcome=outcome, reason=reason, now=now)
    run_id: str = client.create_run(
        experiment_of(client, version.run_id),
        run_name=f"gate {version.name} v{version.version}",
        tags={
            "cloche.kind": "gate",
            "cloche.model": version.name,
            "cloche.version": str(version.version),
            "cloche.decision": outcome,
            "cloche.metric": document["metric"],
            **({STAGES: uris(judgement.candidate.stages)} if judgement.candidate.stages else {}),
        },
    ).info.run_id
    with ending_run(client, run_id):
        _write(client, run_id, document, judgement)
    return run_id


@contextmanager
def ending_run(client: MlflowClient, run_id: str) -> Iterator[None]:
    """End a run when the block ends: as finished, failed or killed."""
    try:
        yield
    except BaseException as error:
        ended = isinstance(error, KeyboardInterrupt)
        with suppress(MlflowException):  # the store may be unreachable, which caused the error
            client.set_terminated(run_id, "KILLED" if ended else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _write(
    client: MlflowClient, run_id: str, document: dict[str, Any], judgement: Judgement
) -> None:
    millis = int(datetime.fromisoformat(document["judged_at"]).timestamp() * 1_000)
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, millis, 0) for name, value in _metrics(document).items()],
        params=[
            Param(name, str(value)[:_PARAM_CHARACTERS]) for name, value in _params(document).items()
        ],
    )
    _log_dataset(client, run_id, _dataset(document, judgement))
    client.log_dict(run_id, document, EVIDENCE_ARTIFACT)
    client.log_table(run_id, pd.DataFrame(document["verdicts"]), VERDICTS_ARTIFACT)
    if document["slices"]:
        rows = [{**part, **part["scores"]} for part in document["slices"]]
        client.log_table(
            run_id, pd.DataFrame(rows).drop(columns=["scores", "undefined"]), SLICES_ARTIFACT
        )
    client.log_text(run_id, render(document), REPORT_ARTIFACT)


def _log_dataset(client: MlflowClient, run_id: str, dataset: DatasetInput) -> None:
    try:
        client.log_inputs(run_id, [dataset])
    except MlflowException:
        # If two clients log the same dataset at the same time, MLflow's stores fail the second one.
        # By now the dataset exists and can be used.
        client.log_inputs(run_id, [dataset])


def _metrics(document: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics named like those of a training run: the group, a slash, the metric."""
    found: dict[str, float | None] = {
        f"candidate/{metric}": value for metric, value in document["scores"].items()
    }
    for metric, difference in document["differences"].items():
        found[f"production/{metric}"] = difference["production"]
        found[f"gain/{metric}"] = difference["gain"]
        found[f"gain/{metric}_bound"] = difference["bound"]
    found |= {name: document[name] for name in ("latency_ms", "load_seconds")}
    return {name: float(value) for name, value in found.items() if value is not None}


def _params(document: Mapping[str, Any]) -> dict[str, Any]:
    holdout = document["holdout"]
    return {
        "model": document["model"],
        "version": document["version"],
        "production": document["production"] or "none",
        "outcome": document["outcome"],
        "failed": ", ".join(v["name"] for v in document["verdicts"] if v["result"] == "failed")
        or "none",
        "holdout_digest": holdout["digest"],
        "holdout_rows": holdout["rows"],
        **{
            key: ", ".join(stage["uri"] for stage in document[key])
            for key in ("stages", "production_stages")
            if key in document
        },
        **{f"gate.{name}": value for name, value in document["policy"]["gate"].items()},
    }


def _dataset(document: Mapping[str, Any], judgement: Judgement) -> DatasetInput:
    holdout = judgement.measured.holdout
    with warnings.catch_warnings():
        # The warning is meant for model signatures, and this schema only describes a table.
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer", UserWarning)
        dataset = mlflow.data.from_pandas(  # type: ignore[attr-defined]
            holdout.frame,
            source=CodeDatasetSource({"cloche.source": holdout.source}),
            targets=judgement.policy.target,
            name=f"{document['model']} holdout",
            digest=holdout.digest[:16],
        )
        entity = dataset._to_mlflow_entity()
    return DatasetInput(entity, [InputTag(MLFLOW_DATASET_CONTEXT, "gate")])


def experiment_of(client: MlflowClient, run_id: str | None) -> str:
    """Return the id of the experiment for evidence about a version: that of its training run."""
    if not run_id:
        return _DEFAULT_EXPERIMENT
    try:
        experiment: str = client.get_run(run_id).info.experiment_id
    except MlflowException:
        # The run was deleted, or belongs to another tracking store than the registry's.
        return _DEFAULT_EXPERIMENT
    return experiment
