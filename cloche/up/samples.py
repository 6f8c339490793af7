"""Real rows for a first request, in the column types of the production version's signature."""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import Model

from cloche.registry.version_listing import files_of
from cloche.up.errors import ServiceError


@dataclass(frozen=True)
class TryRows:
    """Rows for a first request; for a version that Cloche trained, rows of its holdout.

    Attributes:
        frame: The rows, with the input columns of the signature.
        request: The body for `/invocations` with the first row.
    """

    frame: pd.DataFrame
    request: dict[str, Any]


def rows_to_try(name: str, version: str, count: int) -> TryRows:
    """Take up to `count` rows from a version's holdout, or its example if Cloche did not train it.

    Raises:
        ServiceError: The version has neither a holdout nor an input example.
    """
    with TemporaryDirectory(prefix="cloche-") as folder:
        frame = _rows_of(name, version, folder)
    if not isinstance(frame, pd.DataFrame):
        raise ServiceError(
            f"{name} version {version} was logged without an input example, so there is nothing "
            "to try it with; log one: log_model(..., input_example=...)"
        )
    first = json.loads(frame.head(1).to_json(orient="records", date_format="iso"))
    return TryRows(frame.head(count), {"dataframe_records": first})


def _rows_of(name: str, version: str, folder: str) -> Any:
    """Download a version to a folder, and read the rows of its holdout, or its input example."""
    files = files_of(name, version).download_artifacts("", folder)
    model = Model.load(files)
    if not (model.metadata and "cloche" in model.metadata and model.signature):
        return model.load_input_example(files)
    run_id = MlflowClient().get_model_version(name, version).run_id
    artifact = model.metadata["cloche"]["holdout"]["artifact"]
    holdout = mlflow.artifacts.download_artifacts(
        run_id=run_id, artifact_path=artifact, dst_path=folder
    )
    rows = pd.read_parquet(holdout, columns=model.signature.inputs.input_names())
    whole = rows.dropna()
    return whole if len(whole) else rows


def write_csv(rows: TryRows, folder: Path) -> Path:
    """Write the rows to a CSV file and return its path."""
    path = folder / "rows.csv"
    rows.frame.to_csv(path, index=False)
    return path
