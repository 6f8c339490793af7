"""`cloche serve --all` serves every registered model by its own name, in every protocol."""

import json
import re
import shutil
from urllib.parse import quote

import grpc
import pytest
import requests
import sqlalchemy

from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.registry.uri import parse
from tests.lifecycle.registry import Registry, Serve, infer_request, saved
from tests.names import FEW, ODD
from tests.online import Server, wait_for

pytestmark = pytest.mark.slow

V2 = {"inputs": [{"name": "a", "shape": [1], "datatype": "FP64", "data": [0.0]}]}


def register(registry: Registry, names: tuple[str, ...]) -> None:
    """Model N predicts N."""
    registry.register("", model="first")
    registry.client.delete_registered_model("first")
    for number, name in enumerate(names, 1):
        path = registry.directory / "by number" / str(number)
        shutil.copytree(saved(number, ""), path)
        registry.client.create_registered_model(name)
        registry.client.create_model_version(name, source=str(path))
        registry.promote("1", name)


def answers_of(server: Server, name: str) -> list[object]:
    """What the model of this name predicts in every protocol."""
    path, url = quote(name, safe=""), server.url
    infer = requests.post(f"{url}/v2/models/{path}/infer", json=V2, timeout=60).json()
    assert infer["model_name"] == name
    body = json.dumps({"instances": [{"a": 0}]})
    v1 = requests.post(f"{url}/v1/models/{path}:predict", body, timeout=60).json()
    assert requests.post(f"{url}/predictions/{path}", "{}", timeout=60).status_code == 400
    mlflow = server.predict(path=f"/models/{path}/invocations").json()
    return [*mlflow["predictions"], *infer["outputs"][0]["data"], *v1["predictions"]]


@pytest.mark.parametrize("names", [FEW, pytest.param(ODD, marks=pytest.mark.breadth)])
def test_every_model_answers_for_itself_and_a_name_of_old_harms_nobody(
    registry: Registry, serve: Serve, names: tuple[str, ...]
) -> None:
    register(registry, (*names, "of old"))
    with sqlalchemy.create_engine(registry.uri).begin() as rows:  # as MLflow 1 let it be called
        for table in ("registered_models", "model_versions", "registered_model_aliases"):
            renaming = f"update {table} set name = 'of/old' where name = 'of old'"  # noqa: S608
            rows.execute(sqlalchemy.text(renaming))
    server = serve("--all", "--grpc-port", "0").wait_until_ready()
    assert set(server.get("/readyz").json()["models"]) == set(names)
    with grpc.insecure_channel(server.grpc_address()) as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for number, name in enumerate(names, 1):
            assert set(answers_of(server, name)) == {number}, name
            status = server.get("/status.json", params={"model": name}).json()
            assert status["model"]["name"] == name
            told = message("ModelInferResponse").FromString(ask(infer_request(name)))
            assert told.model_name == name
    (path,) = re.findall(r"use (/models/NAME/\w+)\.", server.predict().text)
    assert server.predict(path=path.replace("NAME", quote(names[0], safe=""))).ok
    hosts = server.hosts()
    assert len(hosts) == len(names)
    registry.client.delete_registered_model_alias(names[1], "production")
    wait_for(lambda: len(server.hosts()) == len(names) - 1)
    assert set(server.hosts()) < set(hosts), "none was started anew meanwhile"
    gone = server.predict(path=f"/models/{quote(names[1], safe='')}/invocations")
    assert gone.status_code == 404
    assert answers_of(server, names[0])[0] == 1
    told = [line for line in server.log.read_text().splitlines() if "of/old" in line]
    assert len(told) == 1, "one line, and not one a look"
    (uri,) = re.findall(r"cloche serve (\S+:/RUN/model)", told[0])
    assert parse(uri).name == "NAME"
