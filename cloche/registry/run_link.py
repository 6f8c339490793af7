"""Where people find a run: its page on an MLflow server."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:  # it takes seconds, and a command names this module before it imports MLflow
    from mlflow import MlflowClient


def run_link(client: "MlflowClient", run_id: str) -> str | None:
    """Return the URL of a run in MLflow's UI, without a password; None without a server."""
    server = urlsplit(client.tracking_uri)
    if server.scheme not in ("http", "https"):
        return None
    experiment = client.get_run(run_id).info.experiment_id
    host, path = server.netloc.rpartition("@")[2], server.path.rstrip("/")
    return f"{server.scheme}://{host}{path}/#/experiments/{experiment}/runs/{run_id}"
