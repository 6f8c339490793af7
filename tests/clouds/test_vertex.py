"""A model in Google Cloud Storage is served as Vertex AI asks: its variables, routes and bodies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.online import Server, cloud_storage, serving
from tests.protocol.contenders import MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("clouds")]

PREDICT = "/v1/endpoints/123/deployedModels/456:predict"
HEALTH = "/v1/endpoints/123/deployedModels/456"
COMMAND = ("container", "serve")
UPLOAD = """
import sys
from pathlib import Path
from google.cloud import storage
bucket = storage.Client(project="p").create_bucket("artifacts")
root = Path(sys.argv[1])
for file in root.rglob("*"):
    if file.is_file():
        bucket.blob(f"models/7/{file.relative_to(root)}").upload_from_filename(str(file))
"""


@pytest.fixture(scope="module")
def storage(model: Path) -> Iterator[str]:
    """The address of a Cloud Storage that holds the model."""
    with cloud_storage() as url:
        variables = os.environ | {"STORAGE_EMULATOR_HOST": url}
        subprocess.run([sys.executable, "-c", UPLOAD, model], env=variables, check=True)
        yield url


@pytest.fixture(scope="module")
def vertex(storage: str, tmp_path_factory) -> Iterator[Server]:
    """The container as Vertex AI starts it."""
    variables = {
        "AIP_HTTP_PORT": "0", "AIP_HEALTH_ROUTE": HEALTH, "AIP_PREDICT_ROUTE": PREDICT,
        "AIP_STORAGE_URI": "gs://artifacts/models/7/", "AIP_MODE": "PREDICTION",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER", "STORAGE_EMULATOR_HOST": storage,
    }  # fmt: skip
    directory = tmp_path_factory.mktemp("vertex")
    with serving(directory=directory, environment=variables, command=COMMAND) as server:
        yield server.wait_until_ready()


def predict(server: Server, body: dict) -> requests.Response:
    return requests.post(server.url + PREDICT, json=body, timeout=60)


ROWS = [{"size": 2, "kind": "new"}, {"size": 3.5, "kind": "used"}]


def test_each_instance_gets_a_prediction(vertex: Server):
    answer = predict(vertex, {"instances": ROWS})
    assert answer.json() == {"predictions": [4.0, 3.5]}


def test_parameters_reach_the_model(vertex: Server, mlflow: MlflowServer):
    theirs = requests.post(
        f"{mlflow.url}/invocations", json={"instances": ROWS, "params": {"factor": 3}}, timeout=60
    )

    answer = predict(vertex, {"instances": ROWS, "parameters": {"factor": 3}})

    assert answer.json() == theirs.json() == {"predictions": [12.0, 10.5]}
    assert predict(vertex, {"instances": ROWS, "parameters": None}).status_code == 200


def test_raw_predictions_take_everything_that_mlflow_does(vertex: Server):
    answer = requests.post(
        vertex.url + PREDICT, b"size,kind\n2,new\n", headers={"content-type": "text/csv"},
        timeout=60,
    )  # fmt: skip

    assert answer.json() == {"predictions": [4.0]}


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"size": "big", "kind": "new"}]}, {"instances": ROWS, "parameters": 3},
        {"parameters": {}}, {}, ["parameters"],
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_a_reason(vertex: Server, body):
    answer = predict(vertex, body)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_body_that_cannot_be_read_is_refused_and_counted_like_any_other(vertex: Server):
    refused = {"model": "model", "version": "", "code": "400"}
    before = vertex.metric("cloche_requests_total", **refused)

    answer = requests.post(
        vertex.url + PREDICT, b"rows", headers={"content-encoding": "gzip"}, timeout=60
    )

    assert answer.status_code == 400
    assert answer.headers["x-request-id"]
    assert vertex.metric("cloche_requests_total", **refused) == before + 1


def test_the_model_of_cloud_storage_is_served_to_everybody_where_vertex_asks(vertex: Server):
    assert vertex.get(HEALTH).status_code == 200
    assert vertex.url.startswith("http://0.0.0.0:")
    assert vertex.state("model")["ready"]
    assert '"model": "model"' in vertex.log.read_text()
