"""Where people find the run with the evidence, in the sentences of the commands."""

import os
from typing import TYPE_CHECKING

from cloche.registry.run_link import run_link

if TYPE_CHECKING:
    from mlflow import MlflowClient


def evidence_link(client: "MlflowClient", run_id: str) -> str:
    """Return where a run is: a page of the MLflow server, or the run id for a database."""
    # `mlflow ui` does not read the variable; without it, both look in this folder
    named = "MLFLOW_TRACKING_URI" in os.environ
    store = ' --backend-store-uri "$MLFLOW_TRACKING_URI"' if named else ""
    return run_link(client, run_id) or f"run {run_id} (see it with `mlflow ui{store}`)"
