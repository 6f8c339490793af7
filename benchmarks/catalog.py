"""The contenders and the models, in the order of the tables."""

import json
from typing import Final

from benchmarks.place import Contender, Place
from benchmarks.processes import free_port
from benchmarks.row import Row

BASE: Final = "mlflow"  # the contender that all others are compared with
MODELS: Final = {
    "twelve": "8 numbers and 4 categories, histogram gradient boosting",
    "flights": "the shipped recipe `flights`: 23 columns, histogram gradient boosting",
    "comments": "the shipped recipe `comments`: one text column, character n-grams",
    "linear": "the columns of `twelve`, logistic regression",
    "wide": "600 numbers, logistic regression",
}


def _module(name: str, place: Place, *arguments: str) -> list[str]:
    return [str(place.python), "-m", name, *arguments]


def _echo(place: Place) -> list[str]:
    return _module("benchmarks.contenders.echo_server", place, str(place.port))


def _mlflow(place: Place) -> list[str]:
    return [
        *_module("mlflow", place, "models", "serve", "--model-uri", place.uri),
        *("--port", str(place.port), "--env-manager", "local"),
    ]


def _fastapi(place: Place) -> list[str]:
    return _module("benchmarks.contenders.fastapi_server", place, place.uri, str(place.port))


def _bentoml(place: Place) -> list[str]:
    service = "benchmarks.contenders.bentoml_server:Pipeline"
    return [
        *("env", "BENTOML_DO_NOT_TRACK=True", f"BENTOML_HOME={place.directory}"),
        *_module("bentoml", place, "serve", service, "--arg", f"uri={place.uri}"),
        *("--host", "127.0.0.1", "--port", str(place.port)),
    ]


def _litserve(place: Place) -> list[str]:
    return _module("benchmarks.contenders.litserve_server", place, place.uri, str(place.port))


def _mlserver(place: Place) -> list[str]:
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
        "max_batch_size": 512,
        "max_batch_time": 0.005,  # seconds
        "parameters": {"uri": place.uri},
    }
    (place.directory / "settings.json").write_text(json.dumps(settings))
    (place.directory / "model-settings.json").write_text(json.dumps(model))
    return [str(place.python.parent / "mlserver"), "start", str(place.directory)]


def _cloche(place: Place) -> list[str]:
    return _module("cloche", place, "serve", place.uri, "--port", str(place.port))


CONTENDERS: Final = {
    "echo": Contender(_echo, "/", path="/"),
    "mlflow": Contender(_mlflow, "/ping"),
    "fastapi": Contender(_fastapi, "/ready"),
    "bentoml": Contender(
        _bentoml,
        "/readyz",
        path="/predict",
        body=lambda row: json.dumps({"rows": [row.record()]}).encode(),
    ),
    "litserve": Contender(_litserve, "/health", path="/predict"),
    # MLServer batches only requests of the Open Inference Protocol.
    "mlserver": Contender(
        _mlserver,
        "/v2/models/pipeline/ready",
        path="/v2/models/pipeline/infer",
        body=Row.open_inference,
    ),
    "cloche": Contender(_cloche, "/readyz"),
    "cloche_two_workers": Contender(lambda place: [*_cloche(place), "--workers", "2"], "/readyz"),
    "cloche_no_acceleration": Contender(
        lambda place: [*_cloche(place), "--no-acceleration"], "/readyz"
    ),
}
