"""The probe: loads one model in a process of its own, lets it predict, and writes what it saw.

Run as `cloche/launch.py cloche.training.gate FOLDER` with the task in `FOLDER/task.json` and the
holdout in `FOLDER/holdout.parquet`. What is found goes to `FOLDER/report.json`, again after each
stage, so that whoever waits can tell how far a crash or a hang got; predictions go to
`FOLDER/predictions.npz`.

It needs no Cloche code in the model, and takes the model's failures for results.
"""

import json
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import Model
from mlflow.models.utils import convert_input_example_to_serving_input
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.scoring_server import _parse_json_data
from mlflow.types.schema import ColSpec, DataType, Schema
from threadpoolctl import threadpool_limits

from cloche import supervisor
from cloche.redaction import told
from cloche.training.evaluation.output import read
from cloche.training.evaluation.predictions import Target
from cloche.training.packaging.signature import as_text

# One-row predictions: enough of them that the median is steady, within a time that people wait.
WARM_UP, MOST_REPEATS, MOST_SECONDS = 5, 200, 5.0
LATENCY_ROWS = 50

_PACKAGES = ("mlflow", "mlflow-skinny", "scikit-learn", "pandas", "numpy")
_REASON_CHARACTERS = 500
_WHOLE: dict[Any, type] = {DataType.integer: np.int32, DataType.long: np.int64}
_FRACTIONAL: dict[Any, type] = {DataType.float: np.float32, DataType.double: np.float64}


class StageError(Exception):
    """A stage of the probe failed; the report says why."""


def main(folder: Path) -> None:
    """Probe the model that `folder` describes."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    holdout = pd.read_parquet(folder / "holdout.parquet")
    report = Report(folder / "report.json")
    report.add(environment=environment())
    with suppress(StageError):
        started = perf_counter()
        model = report.stage("load", lambda: mlflow.pyfunc.load_model(task["model"]))
        report.add(load_seconds=perf_counter() - started)
        rows = report.stage(
            "predict",
            lambda: model_rows(holdout, model.metadata, task["target"], task["features"]),
            rows=holdout,
        )
        with suppress(StageError):
            report.stage("example", lambda: serve_example(model, task["model"], rows), rows=holdout)
        target = Target(**{**task["asked"], "classes": tuple(task["asked"]["classes"])})
        predictions = report.stage(
            "predict",
            lambda: read(model.predict(rows), target, rows=len(rows), name=task["output"]),
            rows=holdout,
        )
        arrays = {name: getattr(predictions, name) for name in ("codes", "values", "probabilities")}
        np.savez(
            folder / "predictions.npz",
            **{name: array for name, array in arrays.items() if array is not None},
        )
        latency = report.stage("latency", lambda: one_row_latency(model, rows), rows=holdout)
        report.add(latency_ms=latency)
    report.add(stage="done")


def environment() -> dict[str, Any]:
    """Where the measurements are made: a latency means little without it."""
    packages = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "latency_threads": 1,
        "packages": packages,
    }


class Report:
    """What is known so far, on disk after every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: dict[str, Any] = {"failures": {}}

    def add(self, **facts: Any) -> None:
        """Add facts and write the file."""
        self._content.update(facts)
        self._path.write_text(json.dumps(self._content), encoding="utf-8")

    def stage(self, name: str, work: Callable[[], Any], rows: pd.DataFrame | None = None) -> Any:
        """Do the work of a stage; what the model throws is its result.

        Args:
            name: of the stage.
            work: what is done.
            rows: what is shown to the model, and to nobody who reads its message.

        Raises:
            StageError: the work raised, and the report says what.
        """
        self.add(stage=name)
        try:
            return work()
        except Exception as error:
            text = (
                f"{type(error).__name__}: {getattr(error, 'message', error)}"
                if rows is None
                else told(error, rows)
            )
            self.add(failures={**self._content["failures"], name: text[:_REASON_CHARACTERS]})
            raise StageError from error
        finally:
            supervisor.end_copy()


def model_rows(
    holdout: pd.DataFrame, metadata: Model, target: str, features: list[str]
) -> pd.DataFrame:
    """The columns that a model takes, with the types that its signature asks for.

    Args:
        holdout: n rows.
        metadata: of the model.
        target: the column that is predicted, never handed over.
        features: columns for a model whose signature names none; empty for all but the target.
    """
    schema = metadata.signature.inputs if metadata.signature else None
    if schema is None or not schema.has_input_names():
        names = features or [name for name in holdout.columns if name != target]
        rows = holdout[names]
        if schema is not None and schema.is_tensor_spec():
            rows = rows.astype(schema.input_types()[0])
        return rows
    names = [name for name in schema.input_names() if name in holdout.columns]
    return conform(holdout[names], schema)


def conform(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Give columns that a file made wider or plainer the schema's types, where no value changes.

    A CSV file knows no 32-bit numbers and no dates; MLflow's serving parser converts them, while
    `predict` on a table does not.
    """
    changed: dict[str, pd.Series] = {}
    for spec in schema.inputs:
        if not isinstance(spec, ColSpec) or spec.name not in rows.columns:
            continue
        name, column = str(spec.name), rows[spec.name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            changed[name] = column = column.astype(object).infer_objects()
        if spec.type == DataType.datetime:
            changed[name] = pd.to_datetime(column).dt.as_unit("ns")
        elif spec.type == DataType.boolean and column.isna().any():
            changed[name] = column.astype(object).where(column.notna(), None)
        elif spec.type == DataType.string and not _is_text(column):
            changed[name] = as_text(column)  # as training did
        elif spec.type in _FRACTIONAL and pd.api.types.is_numeric_dtype(column):
            changed[name] = column.astype(_FRACTIONAL[spec.type])
        elif spec.type in _WHOLE and pd.api.types.is_numeric_dtype(column):
            whole = column.astype(_WHOLE[spec.type], errors="ignore")
            changed[name] = whole if (whole == column).all() else column
    return rows.assign(**changed)


def _is_text(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.StringDtype) or column.dtype == object


def serve_example(model: PyFuncModel, path: str, rows: pd.DataFrame) -> None:
    """Send the saved example, or a row of the holdout, the way of a request to `/invocations`."""
    payload = model.metadata.get_serving_input(path)
    if payload is None:
        payload = convert_input_example_to_serving_input(rows.head(1))
    schema = model.metadata.signature.inputs if model.metadata.signature else None
    parsed: Any = _parse_json_data(payload, model.metadata, schema)
    model.predict(parsed.data, params=parsed.params)


def one_row_latency(model: PyFuncModel, rows: pd.DataFrame) -> float:
    """Median time of a one-row prediction in milliseconds, one thread, over different rows."""
    singles = [rows.iloc[[position]] for position in range(min(LATENCY_ROWS, len(rows)))]
    times: list[float] = []
    with threadpool_limits(1):
        for single in singles[:WARM_UP]:
            model.predict(single)
        while len(times) < MOST_REPEATS and sum(times) < MOST_SECONDS:
            single = singles[len(times) % len(singles)]
            started = perf_counter()
            model.predict(single)
            times.append(perf_counter() - started)
    return 1_000 * median(times)
