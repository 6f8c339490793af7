"""BentoML with its adaptive batching, in an environment of its own."""

import json

from benchmarks.place import Place, Question
from benchmarks.row import Row

_SERVICE = "benchmarks.contenders.bentoml_server:Pipeline"


def command(place: Place) -> list[str]:
    """Return the command line that starts the server."""
    return [
        *("env", "BENTOML_DO_NOT_TRACK=True", f"BENTOML_HOME={place.directory}"),
        *(str(place.python), "-m", "bentoml", "serve", _SERVICE, "--arg", f"uri={place.uri}"),
        *("--host", "127.0.0.1", "--port", str(place.port)),
    ]


def ready() -> str:
    """Return the path that answers 200 when the server can predict."""
    return "/readyz"


def question(row: Row) -> Question:
    """Build the request for the prediction of one row."""
    return Question("/predict", json.dumps({"rows": [row.record()]}).encode())
