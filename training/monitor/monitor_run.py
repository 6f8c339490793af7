"""Writes a monitoring as an MLflow run: metrics over the days, tables, plot and report."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from cloche.training.gate.evidence_run import REPORT_ARTIFACT, ending_run, experiment_of
from cloche.training.monitor.monitor import open_alarms

DOCUMENT_ARTIFACT = "monitor.json"
_BATCH = 1_000  # most metrics of one request
_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000


def record(
    client: MlflowClient, document: Mapping[str, Any], *, plot: bytes, page: str,
    training_run_id: str | None,
) -> str:  # fmt: skip
    """Write a finished run beside that of the training; return its id."""
    newest = document["versions"][-1]["version"]
    run_id: str = client.create_run(
        experiment_of(client, training_run_id),
        run_name=f"monitor {document['model']} {document['last_day']}",
        tags={
            "cloche.kind": "monitor",
            "cloche.model": document["model"],
            "cloche.version": newest,
            "cloche.decision": "alarm" if open_alarms(document) else "quiet",
        },
    ).info.run_id
    with ending_run(client, run_id):
        _write(client, run_id, document, plot, page)
    return run_id


def _write(
    client: MlflowClient, run_id: str, document: Mapping[str, Any], plot: bytes, page: str
) -> None:
    params = ("model", "first_day", "last_day", "as_of", "log")
    client.log_batch(run_id, params=[Param(name, str(document[name])) for name in params])
    metrics = list(_metrics(document))
    for begin in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[begin : begin + _BATCH])
    client.log_dict(run_id, dict(document), DOCUMENT_ARTIFACT)
    versions = document["versions"]
    tables = {
        name: [{"version": one["version"], **_flat(row)} for one in versions for row in one[name]]
        for name in ("drift", "slices")
    }
    tables["alarms"] = [_flat(alarm) for alarm in document["alarms"]]
    for name, rows in tables.items():
        if rows:
            client.log_table(run_id, pd.DataFrame(rows), f"tables/{name}.json")
    with TemporaryDirectory(prefix="cloche-") as folder:
        path = Path(folder, "quality.png")
        path.write_bytes(plot)
        client.log_artifact(run_id, str(path), "plots")
    client.log_text(run_id, page, REPORT_ARTIFACT)


def _metrics(document: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of each version and day; the step is the day since 1970."""
    for one in document["versions"]:
        for day in one["days"]:
            step = (date.fromisoformat(day["day"]) - _EPOCH).days
            values: dict[str, float | None] = {
                name: day[name] for name in ("rows", "labelled", "coverage")
            }
            for metric, found in day["metrics"].items():
                values |= {metric: found["value"], f"{metric}_low": found["low"]}
                values |= {f"{metric}_high": found["high"]}
            if day["estimate"]:
                values[f"{one['metric']}_estimated"] = day["estimate"]["value"]
            for name, value in values.items():
                if value is not None:
                    key = f"v{one['version']}/{name}"
                    yield Metric(key, float(value), step * _DAY_MS, step)
    step = (date.fromisoformat(document["last_day"]) - _EPOCH).days
    yield Metric("alarms", float(len(open_alarms(document))), step * _DAY_MS, step)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table: lists as text, and without what tables cannot hold."""
    return {
        name: "; ".join(value) if isinstance(value, list) else value
        for name, value in row.items()
        if not isinstance(value, Mapping)
    }
