"""The model that `spark_udf` runs: the pinned version, which returns refusals instead of failing.

A row that a model refuses makes the whole call fail, and in Spark the task and then the job. So the
version is wrapped into an MLflow model that divides failing rows, as every engine does, and returns
for each row either a prediction or the reason why there is none.

MLflow loads this module on the executors; `save` writes the model that is sent to them.
"""

import base64
import json
import shutil
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from mlflow import pyfunc
from mlflow.models import Model

from cloche.registry.installed_packages import mismatches
from cloche.serving.batch.job.part import Part
from cloche.serving.batch.job.pinned_job import Job
from cloche.serving.batch.output.merged_schema import concatenate
from cloche.serving.batch.scoring.worker import Worker
from cloche.serving.batch.spark.columns import SparkColumns
from cloche.serving.batch.spark.environment import EnvironmentWorker
from cloche.serving.batch.spark.read_stage import rebuild_frame
from cloche.serving.errors import ServingError
from cloche.values import redaction

DIVIDED = "Spark divided its rows"
_VERSION = "version"
_JOB = "job.json"


def save(place: Path, job: Job, directory: Path, python: str) -> None:
    """Write the MLflow model for a job into a folder, which must not exist yet."""
    place.mkdir()
    shutil.copytree(job.model.path, place / _VERSION)
    about = {"job": job.to_json(), "directory": str(directory), "python": python}
    (place / _JOB).write_text(json.dumps(about))
    model = Model()
    pyfunc.add_to_model(model, loader_module=__name__, data=".")
    model.save(str(place / "MLmodel"))


def columns(version: Path, python: str) -> SparkColumns:
    """Return a version's columns in Spark; with an environment, rows are not passed through it."""
    if python:
        return SparkColumns.none()
    description = Model.load(version)
    return SparkColumns.of(description.get_input_schema(), description.get_output_schema())


@lru_cache(maxsize=1)
def _load_pyfunc(path: str) -> "SafeModel":
    """Load the model for MLflow; cached, because on one machine MLflow loads it for each task."""
    return SafeModel(Path(path))


class SafeModel:
    """The wrapped version of a job, which is loaded for the first part."""

    def __init__(self, path: Path) -> None:
        about = json.loads((path / _JOB).read_text())
        job = Job.from_json(about["job"])
        self._job = replace(job, model=replace(job.model, path=str(path / _VERSION)))
        self._directory = Path(about["directory"])
        self._python: str = about["python"]
        self._columns = columns(path / _VERSION, self._python)
        self._worker: Worker | None = None
        self._apart: EnvironmentWorker | None = None

    def predict(self, frame: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Score one part, whose first row is its head."""
        head = frame["message"].iat[0]
        message: dict[str, Any] = json.loads(head) if isinstance(head, str) else {"unfit": DIVIDED}
        try:
            if "part" in message:
                message = self._finish(message)
            elif "columns" in message:
                return self._score(frame, message["columns"])
        except ServingError as error:
            message = {"failed": str(error)}
        except Exception as error:  # noqa: BLE001  # any error must reach the driver
            message = {"failed": redaction.describe_error(error, frame)}
        return self._answer(len(frame), message)

    def _score(self, frame: pd.DataFrame, types: dict[str, str]) -> pd.DataFrame:
        worker = self._loaded()
        try:
            inputs = rebuild_frame(frame.iloc[1:], types, self._columns)
        except (TypeError, ValueError) as error:
            return self._answer(len(frame), {"unfit": str(error)})
        started = perf_counter()
        scored, tables, failed = worker.row_scorer.score(inputs)
        answer: dict[str, Any] = {
            "rows": len(inputs), "seconds": perf_counter() - started, "statistics": {},
            "by_twin": worker.row_scorer.rows_by_twin,
        }  # fmt: skip
        cells: dict[str, Any] = {}
        if tables:
            predicted = concatenate(tables)
            try:
                cells = self._fitting(predicted)
            except (pa.ArrowException, ValueError) as error:
                return self._answer(len(frame), {"unfit": str(error)})
            answer["schema"] = base64.b64encode(predicted.schema.serialize()).decode()
            answer["statistics"] = worker.count(inputs.iloc[scored], tables)
        result = self._answer(len(frame), answer)
        for name, values in cells.items():
            result[name] = _with(result[name], 1 + scored, values)
        if failed:
            why = [json.dumps([one.kind, one.detail]) for one in failed.values()]
            result["refused"] = _with(result["refused"], 1 + np.array(list(failed)), why)
        return result

    def _fitting(self, predicted: pa.Table) -> dict[str, Any]:
        """Return the predictions in the types that Spark expects.

        Raises:
            ValueError, pa.ArrowException: The predictions do not fit the signature's outputs.
        """
        kinds = self._columns.outputs
        if predicted.num_columns != len(kinds):
            raise ValueError(f"{predicted.num_columns} columns, {len(kinds)} by the signature")
        for name, column in zip(predicted.column_names, predicted.columns, strict=True):
            if column.null_count and not pa.types.is_floating(column.type):
                raise ValueError(f"column {name!r} has missing predictions")
            if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
                raise ValueError(f"column {name!r} has NaN, which Spark takes for missing")
        return {
            f"o{at}": column.cast(kind.arrow).to_numpy()
            for at, (kind, column) in enumerate(zip(kinds, predicted.columns, strict=True))
        }

    def _finish(self, request: dict[str, Any]) -> dict[str, Any]:
        """Process a request about a whole part."""
        if self._python:
            self._apart = self._apart or EnvironmentWorker(self._job, self._directory, self._python)
            return self._apart.send_request(request)
        part = Part(**request["part"])
        excluded_rows = {int(at): reason for at, reason in request["without"].items()}
        worker = self._loaded()
        if "try" in request:
            start, stop = request["try"]
            worker.try_rows(part, start, stop, excluded_rows)
            return {"survived": True}
        return {"finished": worker.finish(part, excluded_rows, request["rows_per_call"]).to_json()}

    def _loaded(self) -> Worker:
        if self._worker is None:
            here, noted = mismatches(Path(self._job.model.path)), self._job.environment
            if noted and here != noted["differs"]:
                raise ServingError(
                    "An executor of Spark has other packages than the driver. Of what the version "
                    f"was logged with, it lacks: {', '.join(here) or 'nothing'}; the driver: "
                    f"{', '.join(noted['differs']) or 'nothing'}. PYSPARK_PYTHON names the "
                    "interpreter of executors."
                )
            try:
                self._worker = Worker(self._job, self._directory)
            except Exception as error:
                version = redaction.raised_in(error) or "version"
                raise ServingError(
                    f"The {version} cannot be loaded: {type(error).__name__}: {error}"
                ) from error
        return self._worker

    def _answer(self, count: int, message: dict[str, Any]) -> pd.DataFrame:
        """Return a response without predictions; their columns hold placeholders."""
        cells: dict[str, Any] = {
            f"o{at}": np.full(count, kind.zero, object if kind.zero == "" else None)
            for at, kind in enumerate(self._columns.outputs)
        }
        cells["refused"] = np.full(count, "", object)
        cells["message"] = np.array([json.dumps(message)] + [""] * (count - 1), object)
        return pd.DataFrame(cells)


def _with(column: pd.Series, places: Any, values: Any) -> Any:
    cells = column.to_numpy(copy=True)
    cells[places] = values
    return cells
