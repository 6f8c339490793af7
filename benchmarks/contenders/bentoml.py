"""BentoML with its adaptive batching, in an environment of its own."""

import json

from benchmarks.place import Place, Question
from benchmarks.row import Row

_SERVICE = "benchmarks.contenders.bentoml_server:Pipeline"


def command(place: Place) -> list[str]:
    """How it is started."""
    return [
        *("env", "BENTOML_DO_NOT_TRACK=True", f"BENTOML_HOME={place.directory}"),
        *(str(place.python), "-m", "bentoml", "serve", _SERVICE, "--arg", f"uri={place.uri}"),
        *("--host", "127.0.0.1", "--port", str(place.port)),
    ]


def ready() -> str:
    """Where it answers 200 when it can predict."""
    return "/readyz"


def question(row: Row) -> Question:
    """How it is asked for the prediction of one row."""
    return Question("/predict", json.dumps({"rows": [row.record()]}).encode())
