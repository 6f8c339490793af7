"""Records a job as a run in MLflow, in the experiment `MODEL-batch`, from start to end.

The output does not depend on it: if the tracking server is down, a message says so and the job
continues.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.registry.error_messages import explain
from cloche.values.progress import Say


class JobRun:
    """The MLflow run of one job; `run_id` is empty if there is no run."""

    def __init__(self, run_id: str, say: Say) -> None:
        self.run_id = run_id
        self._say = say

    @classmethod
    def begin(cls, job: Job, output: str, say: Say) -> "JobRun":
        """Create the run of a job that starts now."""
        lineage = cls("", say)
        with lineage._reporting_errors():
            client = MlflowClient()
            tags = {
                "cloche.kind": "batch",
                "cloche.model": job.model.name,
                "cloche.version": job.model.version,
                **({"cloche.stages": job.model.stage_label} if job.model.stages else {}),
                "mlflow.source.name": "cloche score",
            }
            name = PurePosixPath(output).name
            run = client.create_run(
                _experiment(client, f"{job.model.name}-batch"),
                tags=tags,
                run_name=f"{name} by {job.model.name} {job.model.version}".strip(),
            )
            lineage.run_id = run.info.run_id
            client.log_inputs(
                lineage.run_id,
                datasets=[_dataset(job)],
                models=[LoggedModelInput(job.model.model_id)] if job.model.model_id else None,
            )
            params = {
                "model": job.model.artifacts, "output": output, "format": job.layout.format,
            }  # fmt: skip
            client.log_batch(
                lineage.run_id, params=[Param(name, value) for name, value in params.items()]
            )
        return lineage

    def finish(self, record: dict[str, Any], pages: dict[str, bytes]) -> None:
        """Log the metrics of the job, attach the report and the manifest, and finish the run."""
        if not self.run_id:
            return
        with self._reporting_errors():
            client = MlflowClient()
            rate = record["rows"] / max(record["seconds"], 1e-9)
            values = {
                "rows": record["rows"], "scored": record["scored"], "refused": record["refused"],
                "by_twin": record["predictors"]["onnx"],
                "seconds": record["seconds"], "rows_per_second": rate,
            }  # fmt: skip
            now = int(datetime.now(UTC).timestamp() * 1000)
            metrics = [Metric(name, float(value), now, 0) for name, value in values.items()]
            reasons = [RunTag("cloche.refused", str(record["refused"]))]
            client.log_batch(self.run_id, metrics=metrics, tags=reasons)
            for name, page in pages.items():
                client.log_text(self.run_id, page.decode(), name)
            client.set_terminated(self.run_id, "FINISHED")

    def fail(self) -> None:
        """Mark the run as failed; a resumed job sets it to running again."""
        if self.run_id:
            with self._reporting_errors():
                MlflowClient().set_terminated(self.run_id, "FAILED")

    def resume(self) -> None:
        """Mark the run as running again for a resumed job."""
        if self.run_id:
            with self._reporting_errors():
                MlflowClient().update_run(self.run_id, "RUNNING")

    @contextmanager
    def _reporting_errors(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            self._say(f"The run of this job is not complete in MLflow: {explain(error)}")
        except OSError as error:
            self._say(f"The run of this job is not complete in MLflow: {error}")


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # another job may have created it at the same moment
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _dataset(job: Job) -> DatasetInput:
    """Return the input as an MLflow dataset, with a digest over the fingerprints of its files."""
    digest = hashlib.sha256(repr(sorted(job.fingerprints.items())).encode()).hexdigest()[:16]
    names = sorted(job.fingerprints)
    where = names[0] if len(names) == 1 else str(PurePosixPath(names[0]).parent)
    dataset = Dataset(
        name=PurePosixPath(where).name,
        digest=digest,
        source_type=where.partition("://")[0] if "://" in where else "local",
        source=json.dumps({"uri": where}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "scoring")])
