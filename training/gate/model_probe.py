"""The probe: loads one model in a separate process, lets it predict, and reports the results.

`cloche.probing` runs it with the task in `FOLDER/task.json` and the holdout in
`FOLDER/holdout.parquet`. Results go to `FOLDER/report.json`, which is written after each stage, so
that the waiting process knows in which stage a crash or a hang happened; predictions go to
`FOLDER/predictions.npz`.

The model needs no Cloche code, and its failures are results. The model's code may change anything
in this process: functions that are used after it ran are bound before.
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import pandas as pd
from mlflow.models import Model
from mlflow.models.utils import convert_input_example_to_serving_input
from mlflow.pyfunc import PyFuncModel
from mlflow.types.schema import ColSpec, DataType, Schema
from threadpoolctl import threadpool_limits

from cloche.processes import supervisor
from cloche.processes.machine_limits import exhausted_resource
from cloche.training.dataset.reading.datetimes import parse_times
from cloche.training.dataset.reading.parquet import read_parquet
from cloche.training.errors import TrainingError
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Predictions, TargetSpec
from cloche.training.packaging.signature import as_text
from cloche.values import tensors
from cloche.values.redaction import describe_error, raised_in
from cloche.values.tensors import ModelInput, slice_rows

# One-row predictions: enough for a stable median, within a time that users accept.
WARM_UP, MOST_REPEATS, MOST_SECONDS = 5, 200, 5.0
LATENCY_ROWS = 50

_PACKAGES = ("mlflow", "mlflow-skinny", "scikit-learn", "pandas", "numpy")
EXIT_NO_RESOURCES = (
    75  # exit code if the machine lacks the memory or disk space for the measurement
)
_REASON_CHARACTERS = 500
_WHOLE: dict[Any, type] = {DataType.integer: np.int32, DataType.long: np.int64}
_FRACTIONAL: dict[Any, type] = {DataType.float: np.float32, DataType.double: np.float64}


class Host(Protocol):
    """The functions of a model host that the probe uses."""

    def load(self, path: Path, /) -> PyFuncModel:
        """Load the model at `path` as a model host does."""

    def serving_problem(self, model: PyFuncModel, path: Path, example: Callable[[], str]) -> str:
        """Return why a model host would not serve a loaded version; empty if it would."""

    def encoding_problem(self, raw: Any, rows: int) -> str:
        """Return why a model host cannot encode what a model returned; empty if it can."""


class StageError(Exception):
    """A stage of the probe failed; the report contains the reason."""


class NotServable(Exception):
    """A model host would not serve the model; the message is the reason, without values of rows."""


def main(folder: Path, host: Host) -> None:
    """Probe the model that the task file in `folder` names, as `host` would serve it."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    holdout = read_parquet(folder / "holdout.parquet")
    report = Report(folder)
    try:
        report.add(environment=environment())
        with suppress(StageError):
            _probe(folder, task, holdout, report, host)
        report.add(stage="done")
    except Exception as error:
        if not (resource := exhausted_resource(error)):
            raise
        with suppress(OSError):
            report.add(exhausted=resource)
        sys.exit(EXIT_NO_RESOURCES)


def _probe(
    folder: Path, task: dict[str, Any], holdout: pd.DataFrame, report: "Report", host: Host
) -> None:
    path = Path(task["model"])
    started = perf_counter()
    model = report.stage("load", lambda: host.load(path))
    report.add(load_seconds=perf_counter() - started)
    rows = report.stage(
        "predict",
        lambda: model_rows(holdout, model.metadata, task["target"], task["features"]),
        rows=holdout,
    )

    def answer_example() -> None:
        if reason := host.serving_problem(model, path, lambda: _example(model, path, rows)):
            raise NotServable(reason)

    def predict_holdout() -> Predictions:
        raw = model.predict(rows)
        found = read(raw, target, rows=len(holdout), name=task["output"])
        if reason := host.encoding_problem(raw, len(holdout)):
            raise NotServable(reason)
        return found

    with suppress(StageError):
        report.stage("example", answer_example, rows=holdout)
    spec = task["target_spec"]
    lists = {"classes": tuple(spec["classes"]), "answers": tuple(map(tuple, spec["answers"]))}
    target = TargetSpec(**{**spec, **lists})
    predictions = report.stage("predict", predict_holdout, rows=holdout)
    arrays = {name: getattr(predictions, name) for name in ("codes", "values", "probabilities")}
    np.savez(
        folder / "predictions.npz",
        **{name: array for name, array in arrays.items() if array is not None},
    )
    if task["latency"]:
        latency = report.stage("latency", lambda: one_row_latency(model, rows), rows=holdout)
        report.add(latency_ms=latency)
    if "example" not in report.failures:  # the predictions may have broken the process since
        report.stage("example", answer_example, rows=holdout)


def environment() -> dict[str, Any]:
    """Return a description of the environment, without which a latency means little."""
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
    """The results so far, written to the disk after every change."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "report.json"
        self._content: dict[str, Any] = {"failures": {}}
        self._encode = json.JSONEncoder().encode

    @property
    def failures(self) -> dict[str, str]:
        """Stage → description of the failure."""
        found: dict[str, str] = self._content["failures"]
        return found

    def add(self, **facts: Any) -> None:
        """Add facts and replace the file atomically: a model may end this process at any moment."""
        self._content.update(facts)
        incomplete = self._path.with_suffix(".incomplete")
        incomplete.write_text(self._encode(self._content), encoding="utf-8")
        incomplete.replace(self._path)

    def stage(self, name: str, work: Callable[[], Any], rows: pd.DataFrame | None = None) -> Any:
        """Execute a stage; an exception of the model is its result.

        Args:
            name: Name of the stage.
            work: Function that does the work of the stage.
            rows: Rows that the model receives; their values are removed from the message of a
                failure.

        Raises:
            StageError: The work raised an exception, which the report describes.
            Exception: The machine lacks memory or disk space for the work.
        """
        self.add(stage=name)
        try:
            return work()
        except Exception as error:
            if exhausted_resource(error):
                raise
            self.add(failures={**self.failures, name: _text(error, rows)[:_REASON_CHARACTERS]})
            raise StageError from error
        finally:
            supervisor.end_stray_fork()
            os.umask(0o077)  # the model may have changed it, and later files must be readable


def _text(error: Exception, rows: pd.DataFrame | None) -> str:
    if isinstance(error, NotServable):
        return str(error)
    if rows is None:
        raised_by = raised_in(error)
        where = f" (in the {raised_by})" if raised_by else ""
        return f"{type(error).__name__}: {getattr(error, 'message', error)}{where}"
    return describe_error(error, rows)


def model_rows(
    holdout: pd.DataFrame, metadata: Model, target: str, features: list[str]
) -> ModelInput:
    """Return a holdout as a model takes it: with the columns and the types of its signature.

    Args:
        holdout: Table of n rows.
        metadata: Metadata of the model.
        target: Column that is predicted; it is never given to the model.
        features: Columns for a model whose signature names none; if empty, all except the target.
    """
    schema = metadata.signature.inputs if metadata.signature else None
    inputs = holdout[[name for name in holdout.columns if name != target]]
    if schema is not None and schema.is_tensor_spec():
        try:
            return tensors.model_input(_of_tensors(inputs, schema, features), schema)
        except tensors.UnfitTable as unfit:
            raise TrainingError(f"{unfit}; name what it takes in the policy: features") from unfit
    if schema is None or not schema.has_input_names():
        return inputs[features] if features else inputs
    return cast_to_schema(
        inputs[[name for name in schema.input_names() if name in inputs.columns]], schema
    )


def _of_tensors(inputs: pd.DataFrame, schema: Schema, features: list[str]) -> pd.DataFrame:
    """Return the columns that have the tensors' names, or those that form a single tensor."""
    if tensors.joint_tensor(schema, inputs.columns) is not None:
        return inputs[features] if features else inputs
    return inputs[[name for name in schema.input_names() if name in inputs.columns]]


def cast_to_schema(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Convert columns to the schema's types, as long as no value changes.

    A CSV file has no 32-bit numbers and no dates; MLflow's serving parser converts them, but
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
            changed[name] = parse_times(column.to_frame(name), name)
        elif spec.type == DataType.boolean and column.isna().any():
            changed[name] = column.astype(object).where(column.notna(), None)
        elif spec.type == DataType.string and not _is_text(column):
            changed[name] = as_text(column)  # the same conversion as in training
        elif spec.type in _FRACTIONAL and pd.api.types.is_numeric_dtype(column):
            changed[name] = column.astype(_FRACTIONAL[spec.type])
        elif spec.type in _WHOLE and pd.api.types.is_numeric_dtype(column):
            whole = column.astype(_WHOLE[spec.type], errors="ignore")
            changed[name] = whole if (whole == column).all() else column
    return rows.assign(**changed)


def _is_text(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.StringDtype) or column.dtype == object


def _example(model: PyFuncModel, path: Path, rows: ModelInput) -> str:
    """Return the saved example as a request, or else one row of the holdout."""
    saved: Any = model.metadata.get_serving_input(str(path))
    if saved is None:
        saved = convert_input_example_to_serving_input(slice_rows(rows, slice(1)))
    return str(saved)


def one_row_latency(
    model: PyFuncModel, rows: ModelInput, clock: Callable[[], float] | None = None
) -> float:
    """Return the median time of a one-row prediction in milliseconds, with one thread."""
    clock = clock or time_on_core
    count = len(rows) if isinstance(rows, pd.DataFrame) else len(next(iter(rows.values())))
    singles = [slice_rows(rows, slice(at, at + 1)) for at in range(min(LATENCY_ROWS, count))]
    times: list[float] = []
    with threadpool_limits(1):
        for single in singles[:WARM_UP]:
            model.predict(single)
        began = perf_counter()
        while len(times) < MOST_REPEATS and perf_counter() - began < MOST_SECONDS:
            single = singles[len(times) % len(singles)]
            started = clock()
            model.predict(single)
            times.append(clock() - started)
    return 1_000 * median(times)


def time_on_core() -> float:
    """Return the seconds of a clock that stops while this thread waits for a core.

    Otherwise a machine that also builds, tests or serves would make the gate refuse a model for
    time that other programs used. Linux counts these waits for each thread (the second number of
    https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat); on systems without this
    file the function returns the plain time.
    """
    try:
        waited = int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        waited = 0
    return perf_counter() - waited / 1e9
