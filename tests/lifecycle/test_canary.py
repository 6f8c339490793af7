"""A canary beside production: who gets it, what its faults cost, and how it ends."""

import gzip
import itertools
import json
import os
import shutil
import signal
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.registry_keys import COUNTS_TAG
from cloche.rollout.server_counts import ServerCounts
from tests.lifecycle import make_canaries as made
from tests.lifecycle.make_stages import MODEL, STAGE
from tests.lifecycle.registry import Registry, Serve, infer_request
from tests.lifecycle.test_stages import name_stage, tells_its_versions
from tests.lifecycle.test_stages import register as register_stages
from tests.online import COMMAND, Load, Server, children, is_running, wait_for
from tests.shelf import shelf

pytestmark = pytest.mark.slow

ARMS = ("production", "canary")


@cache
def saved(number: int, fault: str) -> Path:
    path = shelf() / f"canary {number} {fault}"
    made.save(path, number, fault)
    return path


def register(registry: Registry, *faults: str) -> None:
    """A good version 1 in production, and a version for each fault."""
    registry.register()
    for number, fault in enumerate((made.GOOD, *faults), 1):
        path = registry.artifacts(str(number))
        shutil.copytree(saved(number, fault), path)
        registry.client.create_model_version("m", source=str(path))
    registry.promote("1")


def roll_out(registry: Registry, percent: str = "50", version: str = "2") -> None:
    """Make a version the canary, with a share."""
    registry.client.set_model_version_tag("m", version, "cloche.canary_percent", percent)
    registry.promote(version, alias="canary")


def canary(server: Server) -> dict[str, Any]:
    described: dict[str, Any] = server.state().get("canary", {})
    return described


def wait_for_canary(server: Server) -> None:
    wait_for(lambda: canary(server).get("ready"))


def told(registry: Registry) -> list[ServerCounts]:
    """What servers have told of the canary."""
    tags = registry.client.get_model_version("m", "2").tags
    return [ServerCounts.parse(value) for key, value in tags.items() if key.startswith(COUNTS_TAG)]


def requests_told(registry: Registry) -> int:
    """How many requests all servers together have counted at a share of 50 %."""
    total = sum((one.counts for one in told(registry)), RolloutCounts())
    return total.of(50, "canary", "requests") + total.of(50, "production", "requests")


def wait_for_two(server: Server) -> None:
    """Wait until a server knows of another one: two need eleven failures at 50 %, one ten."""
    wait_for(lambda: (canary(server).get("abort") or {}).get("at") == 11)


def arm_of(server: Server, key: str) -> str:
    """The arm that answers a caller, by its headers and by its prediction."""
    response = server.predict(headers={"X-Routing-Key": key})
    arm, version = response.headers["x-model-arm"], response.headers["x-model-version"]
    assert response.json() == {"predictions": [float(version)]}
    assert version == {"production": "1", "canary": "2"}[arm]
    return arm


def arms_of(server: Server, keys: range) -> set[str]:
    """The keys that the canary answers."""
    return {str(key) for key in keys if arm_of(server, str(key)) == "canary"}


def right(response: requests.Response) -> bool:
    """Whether a caller has the answer of the version that the headers name."""
    return response.ok and response.json() == {
        "predictions": [float(response.headers["x-model-version"])]
    }


def test_an_alias_gives_a_version_its_share_until_it_is_gone(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    server = serve().wait_until_ready()
    assert "x-model-arm" not in server.predict().headers
    roll_out(registry, "20")
    wait_for_canary(server)
    keys = range(400)
    at_twenty = arms_of(server, keys)
    assert 40 < len(at_twenty) < 120
    registry.client.set_model_version_tag("m", "2", "cloche.canary_percent", "50")
    wait_for(lambda: canary(server)["percent"] == 50)
    at_fifty = arms_of(server, keys)
    assert at_twenty < at_fifty
    assert 150 < len(at_fifty) < 250
    another = serve().wait_until_ready()
    wait_for_canary(another)
    assert arms_of(another, keys) == at_fifty  # as after a restart
    with Load(server, check=right) as load:
        load.wait_for_more(50)
        registry.client.delete_registered_model_alias("m", "canary")
        wait_for(lambda: len(server.hosts()) == 1)
        load.wait_for_more(20)
    assert not load.failures
    assert load.outcomes["2"]
    response = server.predict()
    assert "x-model-arm" not in response.headers
    assert response.headers["x-model-version"] == "1"


@dataclass
class Callers(Load):
    """Clients that send the keys of a hundred callers, each on connections of its own."""

    canaries: set[str] = field(default_factory=set)  # the callers that had the canary
    lost: int = 0

    def _ask(self) -> None:
        with ExitStack() as stack:
            sessions = [stack.enter_context(requests.Session()) for _ in range(4)]
            for number in itertools.count():
                if self._stop.wait(self.pause):
                    return
                key, session = str(number % 100), sessions[number % len(sessions)]
                had_it = key in self.canaries
                try:
                    response = session.post(
                        self.server.url + self.path, json=self.body, timeout=60,
                        headers={"X-Routing-Key": key},
                    )  # fmt: skip
                except requests.ConnectionError:
                    self.lost += 1
                    continue
                arm = response.headers.get("x-model-arm", "")
                self.outcomes[arm] += 1
                if not right(response) or (had_it and arm != "canary"):
                    self.failures.append(f"{response.status_code} {key} {had_it} {arm}")
                if arm == "canary":
                    self.canaries.add(key)


@pytest.mark.breadth
def test_a_caller_keeps_its_arm_on_all_workers_while_the_share_grows_and_after_restarts(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    server = serve("--workers", "2", program=COMMAND).wait_until_ready()
    roll_out(registry, "10")
    wait_for_canary(server)
    with Callers(server, clients=4) as callers:
        for percent in ("30", "50"):
            callers.wait_for_more(100)
            registry.client.set_model_version_tag("m", "2", "cloche.canary_percent", percent)
            wait_for(lambda percent=percent: canary(server)["percent"] == float(percent))
        callers.wait_for_more(100)
        killed, other = children(server.process.pid, "cloche-front")
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: not is_running(killed))
        wait_for(lambda: server.metric("cloche_replicas") == 4)
        back = children(server.process.pid, "cloche-front")
        assert (len(back), killed in back, other in back) == (2, False, True)
        registry.client.set_model_version_tag("m", "2", "cloche.canary_percent", "80")
        wait_for(lambda: canary(server)["percent"] == 80)
        callers.wait_for_more(200)
    assert callers.failures == []
    assert callers.lost <= callers.clients
    at_eighty = arms_of(server, range(100))
    assert callers.canaries <= at_eighty
    server.end()
    another = serve().wait_until_ready()
    wait_for_canary(another)
    assert arms_of(another, range(100)) == at_eighty


@pytest.mark.parametrize("workers", ["2", pytest.param("1", marks=pytest.mark.breadth)])
def test_a_canary_may_have_another_stage_and_is_promoted_with_it(
    registry: Registry, serve: Serve, workers: str
) -> None:
    register_stages(registry, "s", STAGE, STAGE)
    register_stages(registry, "m", MODEL, MODEL)
    name_stage(registry, "1", "models:/s/1")
    name_stage(registry, "2", "models:/s/2")
    server = serve("--workers", workers).wait_until_ready()
    roll_out(registry)
    wait_for_canary(server)

    def pair(response: requests.Response) -> tuple[str, str]:
        assert tells_its_versions(response)
        return response.headers["x-model-arm"], response.headers["x-model-stages"]

    answers = [server.predict(headers={"X-Routing-Key": str(key)}) for key in range(32)]
    assert set(map(pair, answers)) == {("production", "s/1"), ("canary", "s/2")}
    before = set(server.hosts())
    with Load(server, check=tells_its_versions) as load:
        load.wait_for_more(20)
        registry.promote("2")
        server.wait_for_version("2")
        wait_for(lambda: set(server.hosts()) < before)
        load.wait_for_more(20)
    assert load.failures == []
    assert server.predict().headers["x-model-stages"] == "s/2"


@pytest.mark.breadth  # a server of all models looks at each of them every half a minute
def test_each_of_all_models_may_have_a_canary(registry: Registry, serve: Serve) -> None:
    register(registry, made.GOOD)
    registry.register("", "", model="n", promote=True)
    server = serve("--all", "--workers", "2").wait_until_ready()
    registry.client.set_model_version_tag("n", "2", "cloche.canary_percent", "100")
    registry.promote("2", "n", "canary")
    roll_out(registry)
    wait_for(lambda: server.state("n").get("canary", {}).get("ready"))
    wait_for_canary(server)
    of_n = server.predict(path="/models/n/invocations")
    assert (of_n.headers["x-model-arm"], of_n.headers["x-model-version"]) == ("canary", "2")
    of_m = [
        server.predict(path="/models/m/invocations", headers={"X-Routing-Key": str(key)})
        for key in range(32)
    ]
    assert {one.headers["x-model-arm"] for one in of_m} == set(ARMS)


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.breadth), "2"])
@pytest.mark.parametrize(
    "fault",
    [made.FAILS, *(pytest.param(one, marks=pytest.mark.breadth) for one in made.FAULTS[1:])],
)
def test_a_bad_canary_costs_no_caller_anything_and_ends_itself(
    registry: Registry, serve: Serve, fault: str, workers: str
) -> None:
    register(registry, fault)
    server = serve("--request-timeout", "6", "--workers", workers).wait_until_ready()
    roll_out(registry, "5")
    wait_for_canary(server)
    with Load(server, check=right, clients=32) as load:
        wait_for(lambda: "cloche.rollout" in registry.client.get_model_version("m", "2").tags)
        load.wait_for_more(20)
    assert load.failures == []
    wait_for(lambda: "canary" not in registry.client.get_registered_model("m").aliases)
    state = registry.client.get_model_version("m", "2").tags["cloche.rollout"]
    assert state.startswith("aborted: ")
    assert server.metric("cloche_arm_failures_total", arm="canary") <= 10
    registry.promote("2", alias="canary")  # of which this server has had enough
    wait_for(lambda: "removed" in (canary(server).get("problem") or ""))
    assert server.predict().headers["x-model-version"] == "1"
    registry.client.delete_model_version_tag("m", "2", "cloche.rollout")
    wait_for_canary(server)


def test_a_server_that_has_enough_of_a_canary_ends_it_for_all(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.ALL_FAIL)
    servers = [serve().wait_until_ready() for _ in range(2)]
    roll_out(registry)
    for server in servers:
        wait_for_canary(server)
        wait_for_two(server)
    with Load(servers[0], check=right) as load:
        for server in servers:
            wait_for(lambda server=server: len(server.hosts()) == 1)
    assert load.failures == []
    assert servers[0].metric("cloche_arm_failures_total", arm="canary") < 20
    assert "canary" not in registry.client.get_registered_model("m").aliases
    state = registry.client.get_model_version("m", "2").tags["cloche.rollout"]
    assert "production 0 of" in state
    assert state.endswith("the limit is 1 of 400")
    assert state in canary(servers[0])["problem"]
    wait_for(lambda: not told(registry))


def test_servers_tell_what_they_count_and_one_that_starts_again_adds_to_it(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    for tag, value in (("cloche.rollout_run_id", "run"), ("cloche.rollout", "running: 50 %")):
        registry.client.set_model_version_tag("m", "2", tag, value)
    roll_out(registry)
    servers = [serve().wait_until_ready() for _ in range(2)]
    for server in servers:
        wait_for_two(server)
        arms_of(server, range(20))
    wait_for(lambda: requests_told(registry) == 40)
    servers[0].end()
    assert sorted(one.percent for one in told(registry)) == [0, 50]
    again = serve().wait_until_ready()
    wait_for_canary(again)
    arms_of(again, range(10))
    wait_for(lambda: requests_told(registry) == 50)
    registry.client.delete_registered_model_alias("m", "canary")
    wait_for(lambda: [one.percent for one in told(registry)] == [0, 0, 0])
    assert {one.run_id for one in told(registry)} == {"run"}


@pytest.mark.parametrize("several", ["--replicas", "--workers"])
def test_a_canary_that_is_promoted_serves_at_once_and_loses_nothing(
    registry: Registry, serve: Serve, several: str
) -> None:
    register(registry, made.GOOD)
    server = serve(several, "2").wait_until_ready()
    roll_out(registry)
    wait_for_canary(server)
    before = set(server.hosts())
    assert len(before) == 4
    with Load(server, check=right) as load:
        load.wait_for_more(50)
        registry.promote("2")
        server.wait_for_version("2")
        load.wait_for_more(50)
        wait_for(lambda: len(server.hosts()) == 2)
        load.wait_for_more(20)
    assert load.failures == []
    assert set(server.hosts()) < before
    assert canary(server) == {}
    wait_for(lambda: "canary" not in registry.client.get_registered_model("m").aliases)
    assert "x-model-arm" not in server.predict().headers


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.breadth)])
def test_every_protocol_and_door_reaches_the_same_arm(
    registry: Registry, serve: Serve, workers: str
) -> None:
    register(registry, made.GOOD)
    server = serve("--grpc-port", "0", "--workers", workers).wait_until_ready()
    roll_out(registry)
    wait_for_canary(server)
    keys = {arm: next(k for k in map(str, range(100)) if arm_of(server, k) == arm) for arm in ARMS}
    row, packed = {"a": 0.0}, {"content-type": "application/json", "content-encoding": "gzip"}
    tensor = {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.0]}
    by_mlflow = {"dataframe_records": [row]}
    records = json.dumps(by_mlflow).encode()
    counted = server.metric("cloche_arm_requests_total")
    with grpc.insecure_channel(server.grpc_address()) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for arm, key in keys.items():
            header = {"x-routing-key": key}
            answers = [
                requests.post(server.url + path, json=body, headers=header, timeout=60)
                for path, body in (
                    ("/v2/models/m/infer", {"inputs": [tensor]}),
                    ("/v1/models/m:predict", {"instances": [row]}),
                    ("/predictions/m", by_mlflow),
                )
            ]
            answers.append(
                requests.post(
                    f"{server.url}/invocations", gzip.compress(records), headers=packed | header,
                    timeout=60,
                )
            )  # fmt: skip
            assert [one.headers["x-model-arm"] for one in answers] == [arm] * 4
            _, call = infer.with_call(infer_request(), metadata=[("x-routing-key", key)])
            assert dict(call.trailing_metadata())["x-model-arm"] == arm
    assert server.metric("cloche_arm_requests_total") == counted + 10
    for path, version in (
        ("/models/m/versions/1/invocations", "1"),
        ("/models/m/versions/2/invocations", "2"),
        ("/v1/models/m/labels/production:predict", "1"),
        ("/v1/models/m/labels/canary:predict", "2"),
    ):
        for key in keys.values():
            response = requests.post(
                server.url + path, json={"instances": [row]} if "v1" in path else by_mlflow,
                headers={"x-routing-key": key}, timeout=60,
            )  # fmt: skip
            assert response.headers["x-model-version"] == version
    assert server.metric("cloche_arm_requests_total") == counted + 10
    assert (
        server.get("/v1/models/m/labels/canary").json()["model_version_status"][0]["version"] == "2"
    )


def test_a_canary_that_cannot_serve_gets_no_requests_and_is_told(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    shutil.rmtree(registry.artifacts("2"))
    server = serve().wait_until_ready()
    roll_out(registry, "half")
    wait_for(lambda: "cannot be" in (canary(server).get("problem") or ""))
    assert server.get("/readyz").status_code == 200
    assert "x-model-arm" not in server.predict().headers
    shutil.copytree(saved(2, made.GOOD), registry.artifacts("2"))
    wait_for_canary(server)
    assert "'half'" in canary(server)["problem"]
    assert not arms_of(server, range(50))
