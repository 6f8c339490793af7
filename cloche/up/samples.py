"""Real rows for a first try: from the holdout that the production version was judged on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import Model


@dataclass(frozen=True)
class TryRows:
    """Rows that the model never saw in training.

    Attributes:
        frame: the input columns of the signature.
        request: body for `/invocations` with the first row.
    """

    frame: pd.DataFrame
    request: dict[str, Any]


def rows_to_try(name: str, version: str, count: int) -> TryRows:
    """Take complete rows from the version's holdout.

    Args:
        name: the registered model.
        version: one that Cloche trained.
        count: how many rows at most.
    """
    registered = MlflowClient().get_model_version(name, version)
    model = Model.load(f"models:/{name}/{version}")
    holdout = model.metadata["cloche"]["holdout"]["artifact"]
    local = mlflow.artifacts.download_artifacts(run_id=registered.run_id, artifact_path=holdout)
    inputs = model.get_input_schema().input_names()
    frame = pd.read_parquet(local, columns=inputs).dropna().head(count)
    first = json.loads(frame.head(1).to_json(orient="records", date_format="iso"))
    return TryRows(frame, {"dataframe_records": first})


def write_csv(rows: TryRows, folder: Path) -> Path:
    """The rows as a CSV file."""
    path = folder / "rows.csv"
    rows.frame.to_csv(path, index=False)
    return path
