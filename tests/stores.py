"""MLflow's process-wide stores, for one test at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import mlflow
from mlflow.tracking import fluent
from mlflow.tracking._model_registry import utils as registry
from mlflow.tracking._tracking_service import utils as tracking


@contextmanager
def stores(uri: str | None = None) -> Iterator[None]:
    """MLflow's stores at `uri`, or what the environment says; afterwards they are as before.

    MLflow has no way to unset a registry, and one that is set stays behind when another test sets
    the tracking store alone. The experiment that a test has set is one of its own store, too.
    """
    with (
        patch.object(tracking, "_tracking_uri", None),
        patch.object(registry, "_registry_uri", None),
        patch.object(fluent, "_active_experiment_id", None),
        patch.dict(os.environ),
    ):
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):
            os.environ.pop(name, None)
        if uri is not None:
            mlflow.set_tracking_uri(uri)
        yield
