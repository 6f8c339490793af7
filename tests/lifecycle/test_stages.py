"""A version behind its stage: every protocol, swaps of either, and stages that misbehave."""

import json
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from math import isnan
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import pytest
import requests

from cloche.serving.errors import VersionRefused
from cloche.serving.host.codecs.open_inference.messages import message
from cloche.serving.registry.resolver import Resolver
from cloche.serving.registry.uri import parse
from tests.lifecycle import make_stages as made
from tests.lifecycle.registry import Registry, Serve, infer_request
from tests.online import Load, Server, wait_for
from tests.shelf import shelf
from tests.shell import environment

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/json"}
TENSOR = {"name": "a", "datatype": "FP64", "shape": [2], "data": [0.0, 0.5]}


@cache
def saved(number: int, kind: str) -> Path:
    path = shelf() / f"stages {number} {kind}"
    made.save(path, number, kind)
    return path


def register(registry: Registry, model: str, *kinds: str) -> None:
    """One version of a model for each kind, the first of them in production."""
    registry.register(model=model)
    for number, kind in enumerate(kinds, 1):
        path = registry.artifacts(str(number), model)
        shutil.copytree(saved(number, kind), path)
        registry.client.create_model_version(model, source=str(path))
    registry.promote("1", model)


def name_stage(registry: Registry, version: str, stage: str = "models:/s@production") -> None:
    registry.client.set_model_version_tag("m", version, "cloche.before", stage)


@pytest.fixture
def pair(registry: Registry) -> Registry:
    """Stage `s` and model `m`, two versions each."""
    register(registry, "s", made.STAGE, made.STAGE)
    register(registry, "m", made.MODEL, made.MODEL)
    for version in "12":
        name_stage(registry, version)
    return registry


def served(server: Server) -> tuple[int, ...]:
    """The versions of stage and model that answer, by the prediction and by the headers."""
    response = server.predict()
    assert tells_its_versions(response), response.text
    (value,) = response.json()["predictions"]
    return int(value) // 1000, int(value) % 1000


def tells_its_versions(response: requests.Response) -> bool:
    """Whether the headers name the stage and the model that made the prediction."""
    (value,) = response.json()["predictions"]
    return response.ok and (
        response.headers["x-model-stages"], response.headers["x-model-version"]
    ) == (f"s/{int(value) // 1000}", str(int(value) % 1000))  # fmt: skip


def test_every_protocol_has_the_answer_of_both(pair: Registry, serve: Serve) -> None:
    server = serve("--grpc-port", "0").wait_until_ready()

    def ask(path: str, body: Any, **headers: str) -> Any:
        given = {"data": body, "headers": headers} if headers else {"json": body}
        return requests.post(server.url + path, timeout=60, **given).json()

    rows = [{"a": 0.0}, {"a": 0.5}]
    table = {"columns": ["a"], "data": [[0.0], [0.5]]}
    right = [1001.0, 1501.0]
    assert ask("/invocations", {"dataframe_records": rows}) == {"predictions": right}
    assert ask("/invocations", {"dataframe_split": table, "params": {}}) == {"predictions": right}
    assert ask("/invocations", "a\n0.0\n0.5\n", **{"content-type": "text/csv"}) == {
        "predictions": right
    }
    assert ask("/v1/models/m:predict", {"instances": rows}) == {"predictions": right}
    assert ask("/v1/models/m:predict", {"inputs": {"a": [0.0, 0.5]}}) == {"outputs": right}
    assert ask("/predictions/m", {"dataframe_records": rows}) == right
    answer = ask("/v2/models/m/infer", {"id": "7", "inputs": [TENSOR]})
    assert (answer["id"], answer["outputs"][0]["data"]) == ("7", right)
    with grpc.insecure_channel(server.grpc_address()) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        reply = message("ModelInferResponse").FromString(call(infer_request()))
    assert list(reply.outputs[0].contents.fp64_contents) == [1001.0]
    wrong, named = {"a": made.REFUSE}, "The stage s 1 failed on this request"
    tensor = TENSOR | {"shape": [1], "data": [made.REFUSE]}
    for path, body in {
        "/invocations": {"dataframe_records": [wrong]},
        "/v1/models/m:predict": {"instances": [wrong]},
        "/predictions/m": {"dataframe_records": [wrong]},
        "/v2/models/m/infer": {"inputs": [tensor]},
    }.items():
        assert named in json.dumps(ask(path, body))
    with (
        grpc.insecure_channel(server.grpc_address()) as channel,
        pytest.raises(grpc.RpcError, match=named),
    ):
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(
            infer_request(value=made.REFUSE)
        )
    described = server.get("/v2/models/m").json()
    assert [one["name"] for one in described["inputs"]] == ["a"]


def test_a_batch_has_the_answers_of_the_server(pair: Registry, serve: Serve) -> None:
    server = serve().wait_until_ready()
    values = [0.0, 0.5, made.LOST]
    pd.DataFrame({"a": values}).to_csv(pair.directory / "rows.csv", index=False)
    subprocess.run(
        ["cloche", "score", "models:/m@production", "rows.csv", "scores.jsonl"], check=True,
        cwd=pair.directory, env=environment() | {"MLFLOW_TRACKING_URI": pair.uri},
    )  # fmt: skip
    lines = (pair.directory / "scores.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"prediction": None if isnan(answer) else answer}
        for value in values
        for answer in server.predict(value).json()["predictions"]
    ]


def test_swaps_of_either_and_of_both_lose_nothing(pair: Registry, serve: Serve) -> None:
    server = serve().wait_until_ready()
    with Load(server, check=tells_its_versions) as load:
        for stage, model in ((2, 1), (2, 2), (1, 1), (2, 2)):
            pair.promote(str(stage), "s")
            pair.promote(str(model), "m")
            wait_for(lambda both=(stage, model): served(server) == both)
            load.wait_for_more(50)
    assert not load.failures
    wait_for(lambda: len(server.hosts()) == 2)


def test_a_canary_answers_by_its_own_stage(pair: Registry, serve: Serve) -> None:
    name_stage(pair, "2", "models:/s/2")
    server = serve().wait_until_ready()
    pair.client.set_model_version_tag("m", "2", "cloche.canary_percent", "50")
    pair.promote("2", alias="canary")
    wait_for(lambda: server.state().get("canary", {}).get("ready"))
    pairs = set()
    with Load(server, check=lambda response: response.ok) as load:
        while len(pairs) < 2:
            pairs.add(served(server))
        pair.client.delete_registered_model_alias("m", "canary")
        wait_for(lambda: len(server.hosts()) == 2)
    assert not load.failures
    assert pairs == {(1, 1), (2, 2)}


@pytest.mark.breadth
def test_a_shadow_answers_by_its_own_stage(pair: Registry, serve: Serve) -> None:
    name_stage(pair, "2", "models:/s/2")
    server = serve().wait_until_ready()
    pair.client.set_model_version_tag("m", "2", "cloche.shadow_percent", "50")
    pair.promote("2", alias="shadow")
    wait_for(lambda: server.state().get("shadow", {}).get("ready"))
    with Load(server, check=tells_its_versions) as load:
        wait_for(lambda: min(counts_of(server).values()) > 0)
    assert not load.failures
    assert set(load.outcomes) == {"1"}
    told = server.state()["shadow"]
    assert told["baseline"]["differences"] == 0
    assert told["differences"] == told["compared"]  # another stage and model, another number


def counts_of(server: Server) -> dict[str, int]:
    """The numbers of answers of a shadow, and of production again, that were compared."""
    told = server.state()["shadow"]
    return {"shadow": told["compared"], "baseline": told["baseline"]["compared"]}


def test_a_stage_that_misbehaves_harms_nobody_else(pair: Registry, serve: Serve) -> None:
    server = serve("--predict-timeout", "3", "--replicas", "2").wait_until_ready()
    said = {
        made.CRASH: (503, "Two hosts of the stage s 1 were lost on this request"),
        made.REFUSE: (400, "The stage s 1 failed on this request"),
        made.SHORT: (500, "The stage s 1 must answer each row with one row"),
        made.NAMELESS: (500, "The stage s 1 must answer with a table of named columns"),
        made.REFUSED_BY_MODEL: (400, "The model failed on this request"),
    }

    def is_unharmed(response: requests.Response) -> bool:
        shared_a_batch = response.status_code == 504  # with the row on which the stage hangs
        return shared_a_batch or response.json() == {"predictions": [1001.0]}

    with Load(server, check=is_unharmed) as load:
        with ThreadPoolExecutor(len(said)) as asking:
            answers = dict(zip(said, asking.map(server.predict, said), strict=True))
        said[made.HANG] = (504, "The stage s 1 did not answer within 3 s")
        answers[made.HANG] = server.predict(made.HANG)  # what shares its batch is given up, too
        load.wait_for_more(20)
    assert not load.failures
    for value, (status, words) in said.items():
        assert answers[value].status_code == status, answers[value].text
        assert words in answers[value].text
        assert answers[value].headers["x-model-stages"] == "s/1"
    assert server.predict(made.LOST).text == '{"predictions": [NaN]}'
    pair.client.set_model_version_tag("s", "1", "cloche.retry", "off")
    once = "The host of the stage s 1 was lost on this request. The version's tag cloche.retry is"
    wait_for(lambda: once in server.predict(made.CRASH).text)


def test_killed_hosts_of_stage_and_model_cost_no_answer(pair: Registry, serve: Serve) -> None:
    server = serve("--replicas", "2").wait_until_ready()
    with Load(server, check=lambda response: response.ok) as load:
        for _ in range(3):
            os.kill(server.hosts()[0], signal.SIGKILL)
            load.wait_for_more(30)
            wait_for(lambda: len(server.hosts()) == 4)
    assert not load.failures


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (made.WRONG_COLUMN, "m 1 takes 'b', which the stage before it, s 2, does not answer"),
        (made.WRONG_TYPE, "m 1 takes 'b' as double, and the stage before it, s 2, answers string"),
    ],
)
def test_a_pair_that_does_not_fit_does_not_take_over(
    registry: Registry, serve: Serve, kind: str, words: str
) -> None:
    register(registry, "s", made.STAGE, kind)
    register(registry, "m", made.MODEL)
    name_stage(registry, "1")
    server = serve().wait_until_ready()
    registry.promote("2", "s")
    wait_for(lambda: words in (server.state()["problem"] or ""))
    assert served(server) == (1, 1)
    registry.promote("1", "s")  # as it is advised
    wait_for(lambda: not server.state()["problem"])


def test_a_misfit_that_only_the_example_shows_is_told_with_its_column(
    registry: Registry, serve: Serve
) -> None:
    register(registry, "s", made.STAGE, made.UNSIGNED_TEXTS)
    register(registry, "m", made.MODEL)
    name_stage(registry, "1")
    server = serve().wait_until_ready()
    registry.promote("2", "s")
    words = (
        "What the stage before m 1 answers does not fit its signature (MlflowException: "
        "Incompatible input types for column b. Can not safely convert"
    )
    wait_for(lambda: words in (server.state()["problem"] or ""))
    assert words in server.log.read_text()
    assert served(server) == (1, 1)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("models:/m@production", "in a circle"),
        ("models:/gone@production", "no version stands behind it"),
        ("nonsense", "there is no such folder"),
    ],
)
def test_a_stage_that_cannot_be_found_is_named(
    pair: Registry, serve: Serve, stage: str, words: str
) -> None:
    server = serve().wait_until_ready()
    name_stage(pair, "2", stage)
    pair.promote("2", "m")
    wait_for(lambda: words in (server.state()["problem"] or ""))
    assert served(server) == (1, 1)


@pytest.mark.breadth
def test_several_workers_switch_stage_and_model_together(pair: Registry, serve: Serve) -> None:
    server = serve("--workers", "2", "--replicas", "1,s=2,t=2").wait_until_ready()
    warning = "--replicas names 't', and no model or stage is called so; there are 'm', 's'."
    assert server.get("/readyz").json()["warning"] == warning
    assert warning in server.log.read_text()
    with Load(server, check=tells_its_versions) as load:
        for both in ((1, 2), (2, 2)):
            for version, model in zip(both, "sm", strict=True):
                pair.promote(str(version), model)
            wait_for(lambda both=both: served(server) == both)
            assert {served(server) for _ in range(16)} == {both}  # whichever worker answers
            load.wait_for_more(20)
    assert not load.failures
    wait_for(lambda: len(server.hosts()) == 2 * (2 + 1))
    shown = [{"name": "s", "version": "2", "replicas": 2 * 2}]
    wait_for(lambda: server.get("/status.json").json()["model"]["stages"] == shown)


def test_what_takes_the_model_alone_needs_no_stage(pair: Registry) -> None:
    name_stage(pair, "1", "models:/gone@production")
    resolver = Resolver(lambda: pair.client)
    assert resolver.resolve(parse("models:/m@production")).stages == ()
    with pytest.raises(VersionRefused, match="the stage before it"):
        resolver.resolve_with_stages(parse("models:/m@production"))
    named = replace(parse("models:/m@production"), before="features=models:/s/2")
    (stage,) = resolver.resolve_with_stages(named).stages
    assert (stage.name, stage.model, stage.version) == ("features", "s", "2")
    alone = replace(parse("models:/m@production"), before="none")
    assert resolver.resolve_with_stages(alone).stages == ()


def test_a_stage_comes_and_goes_with_the_version(pair: Registry, serve: Serve) -> None:
    pair.client.delete_model_version_tag("m", "2", "cloche.before")
    server = serve().wait_until_ready()
    pair.promote("2", "m")
    server.wait_for_version("2")
    prepared = {"dataframe_records": [{"b": 1.0}]}
    assert server.get_predictions(prepared) == [1002.0]
    pair.client.delete_model_version_tag("m", "1", "cloche.before")
    pair.promote("1", "m")
    wait_for(lambda: server.version() == "1")
    assert server.get_predictions(prepared) == [1001.0]
    assert server.state()["warning"] is None
    name_stage(pair, "1", " models:/s@production\n")  # as people paste it
    warning = (
        "Version 1 behind s/1 takes other inputs than version 1 behind no stage, which served "
        "before: 'b' (double) is gone, 'a' (double) is new."
    )
    wait_for(lambda: server.state()["warning"] == warning)
    assert warning in server.log.read_text()
    assert served(server) == (1, 1)


@pytest.mark.breadth
def test_each_pair_is_served_from_the_cache_without_a_registry(
    pair: Registry, serve: Serve
) -> None:
    pairs = {(2, 1): ["--before", "models:/s/2"], (1, 1): []}
    for recorded, (both, options) in enumerate(pairs.items(), 1):
        server = serve(*options).wait_until_ready()
        assert served(server) == both
        wait_for(lambda n=recorded: len(list(pair.directory.rglob("served/*.json"))) == n)
        server.end()
    pair.database.rename(pair.directory / "away.db")
    pair.database.mkdir()  # which no database can be opened in
    shutil.rmtree(pair.directory / "artifacts")
    for both, options in pairs.items():
        assert served(serve(*options).wait_until_ready()) == both
