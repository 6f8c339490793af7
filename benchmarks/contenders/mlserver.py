"""MLServer's MLflow runtime with its adaptive batching, in an environment of its own.

MLServer batches only requests of the Open Inference Protocol; `/invocations` predicts each alone.
"""

import json

from benchmarks.place import Place, Question
from benchmarks.processes import free_port
from benchmarks.row import Row

_MAX_BATCH_SIZE = 512
_MAX_BATCH_SECONDS = 0.005


def command(place: Place) -> list[str]:
    """Return the command line that starts the server."""
    settings = {
        "host": "127.0.0.1",
        "http_port": place.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 1,
    }
    model = {
        "name": "pipeline",
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "max_batch_size": _MAX_BATCH_SIZE,
        "max_batch_time": _MAX_BATCH_SECONDS,
        "parameters": {"uri": place.uri},
    }
    (place.directory / "settings.json").write_text(json.dumps(settings))
    (place.directory / "model-settings.json").write_text(json.dumps(model))
    return [str(place.python.parent / "mlserver"), "start", str(place.directory)]


def ready() -> str:
    """Return the path that answers 200 when the server can predict."""
    return "/v2/models/pipeline/ready"


def question(row: Row) -> Question:
    """Build the request for the prediction of one row."""
    return Question("/v2/models/pipeline/infer", row.open_inference())
