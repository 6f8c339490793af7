"""A shadow beside production: what it is asked, what is told of it, and that nobody notices it."""

import os
import shutil
import signal
from functools import cache, partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from cloche.rollout.server_counts import ServerCounts
from tests.lifecycle import make_canaries as made
from tests.lifecycle.registry import Registry, Serve, infer_request
from tests.online import Load, Server, children, wait_for
from tests.shelf import shelf

pytestmark = pytest.mark.slow

ROW = {"a": 0.0}
TENSOR = {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.0]}
BINARY = {"parameters": {"binary_data_output": True}}
DOORS = {
    "/invocations": {"dataframe_records": [ROW]},
    "/v1/models/m:predict": {"instances": [ROW]},
    "/v1/models/m/labels/production:predict": {"instances": [ROW]},  # by name: not copied
    "/predictions/m": {"dataframe_records": [ROW]},
    "/v2/models/m/infer": {"inputs": [TENSOR]},
    "/v2/models/m/infer?binary": {"inputs": [TENSOR], **BINARY},
}


@cache
def saved(number: int, fault: str) -> Path:
    path = shelf() / f"shadow {number} {fault}"
    made.save(path, number, fault)
    return path


def register(registry: Registry, fault: str, answers: int = 1) -> None:
    """A good version 1 in production, and a version 2 that answers a number, with a fault."""
    registry.register()
    for version, number, kind in (("1", 1, made.GOOD), ("2", answers, fault)):
        path = registry.artifacts(version)
        shutil.copytree(saved(number, kind), path)
        registry.client.create_model_version("m", source=str(path))
    registry.promote("1")


def follow(registry: Registry, server: Server, percent: str = "50") -> None:
    """Make version 2 the shadow, and wait until it takes copies."""
    registry.client.set_model_version_tag("m", "2", "cloche.shadow_percent", percent)
    registry.promote("2", alias="shadow")
    wait_for(lambda: shadow(server).get("ready"))


def shadow(server: Server) -> dict[str, Any]:
    described: dict[str, Any] = server.state().get("shadow", {})
    return described


def right(response: requests.Response) -> bool:
    """Whether a caller has production's answer, and is told of nothing else."""
    good = response.ok and set(response.json()["predictions"]) == {1.0}
    return good and "x-model-arm" not in response.headers


def dropped(server: Server, reason: str) -> float:
    return server.metric("cloche_shadow_dropped_total", reason=reason)


def test_a_shadow_that_answers_alike_never_differs_whatever_the_protocol(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    server = serve("--grpc-port", "0").wait_until_ready()
    (production,) = server.hosts()
    own = os.getpriority(os.PRIO_PROCESS, production)
    follow(registry, server)
    (beside,) = set(server.hosts()) - {production}
    assert os.getpriority(os.PRIO_PROCESS, beside) == 19
    assert Path(f"/proc/{beside}/oom_score_adj").read_text().strip() == "1000"
    assert os.getpriority(os.PRIO_PROCESS, production) == own
    with grpc.insecure_channel(server.grpc_address()) as channel, requests.Session() as session:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(40):
            for path, body in DOORS.items():
                response = session.post(server.url + path, json=body, timeout=60)
                assert response.headers["x-model-version"] == "1"
                assert "x-model-arm" not in response.headers
            infer(infer_request())
    wait_for(lambda: shadow(server)["compared"] + dropped(server, "queue full") > 60)
    told = shadow(server)
    assert told["differences"] == 0
    assert told["baseline"]["compared"] > 0
    assert told["baseline"]["differences"] == 0
    assert server.metric("cloche_arm_failures_total") == 0
    named = server.predict(path="/models/m/versions/2/invocations")
    labelled = requests.post(
        f"{server.url}/v1/models/m/labels/shadow:predict", json={"instances": [ROW]}, timeout=60
    )
    assert named.headers["x-model-arm"] == labelled.headers["x-model-arm"] == "shadow"
    registry.client.delete_registered_model_alias("m", "shadow")
    wait_for(lambda: server.hosts() == [production])


@pytest.mark.parametrize("fault", [made.DIFFERS, pytest.param(made.NAN, marks=pytest.mark.breadth)])
def test_one_answer_of_twenty_that_differs_is_one_of_twenty_differences(
    registry: Registry, serve: Serve, fault: str
) -> None:
    register(registry, fault)
    server = serve().wait_until_ready()
    follow(registry, server)
    with Load(server, check=right, clients=4) as load:
        wait_for(lambda: shadow(server)["compared"] > 100)
    assert load.failures == []

    def counted() -> set[float]:
        failures = server.metric("cloche_arm_failures_total", arm="shadow", reason="not finite")
        told = shadow(server)
        return {
            told["differences"], told["compared"] // 20,
            server.metric("cloche_arm_differences_total", arm="shadow"),
            *([failures] if fault == made.NAN else []),
        }  # fmt: skip

    wait_for(lambda: len(counted()) == 1)  # after the last copies
    assert min(counted()) >= 5
    wait_for(lambda: told(registry, "differences") == min(counted()))


def told(registry: Registry, what: str) -> int:
    """What the tag of the version says in which the server tells its counts."""
    tags = registry.client.get_model_version("m", "2").tags
    (value,) = [value for key, value in tags.items() if key.startswith("cloche.rollout_counts.")]
    counts = ServerCounts.parse(value).counts
    return counts.of(0.0, "shadow", "requests" if what == "compared" else "differences")


@pytest.mark.parametrize(
    ("fault", "workers"),
    [
        pytest.param(made.DIES, 1, marks=pytest.mark.breadth),
        (made.DIES, 2),
        pytest.param(made.HANGS, 1, marks=pytest.mark.breadth),
    ],
)
def test_a_shadow_that_dies_or_hangs_again_and_again_is_ended_and_no_caller_notices(
    registry: Registry, serve: Serve, fault: str, workers: int
) -> None:
    register(registry, fault)
    server = serve("--predict-timeout", "2", "--workers", str(workers)).wait_until_ready()
    follow(registry, server)
    with Load(server, check=right) as load:  # more would take the cores from a shadow's start
        wait_for(lambda: "lost 5 hosts" in (shadow(server)["problem"] or ""))
        load.wait_for_more(50)
        wait_for(lambda: len(server.hosts()) == workers)
    assert load.failures == []
    assert server.metric("cloche_arm_failures_total", arm="shadow") >= 5
    assert server.metric("cloche_lost_hosts_total", version="1") == 0
    assert server.get("/readyz").status_code == 200


@pytest.mark.breadth
def test_a_slow_shadow_misses_copies_of_any_size_and_no_caller_waits_for_it(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.SLOW)
    server = serve().wait_until_ready()
    follow(registry, server)
    body = {"dataframe_split": {"columns": ["a"], "data": [[0.0]] * 10_000}}
    with Load(server, check=right, body=body) as load:
        wait_for(lambda: dropped(server, "queue full") > 10)
    assert load.failures == []
    assert shadow(server)["differences"] == 0


@pytest.mark.parametrize(
    "fault", [pytest.param(made.GOOD, marks=pytest.mark.breadth), made.DIFFERS]
)
def test_workers_have_a_shadow_each_and_tell_their_numbers_as_one_server(
    registry: Registry, serve: Serve, fault: str
) -> None:
    register(registry, fault)
    server = serve("--workers", "2").wait_until_ready()
    follow(registry, server)
    wait_for(lambda: len(server.hosts()) == 4)  # `follow` has asked one of the workers
    with Load(server, check=right, clients=4) as load:
        wait_for(lambda: shadow(server)["compared"] > 200)
    assert load.failures == []

    def counted(name: str, what: str) -> set[float]:
        return {shadow(server)[what], server.metric(name, arm="shadow"), told(registry, what)}

    wait_for(lambda: len(counted("cloche_arm_requests_total", "compared")) == 1)
    wait_for(lambda: len(counted("cloche_arm_differences_total", "differences")) == 1)
    compared, differences = (shadow(server)[what] for what in ("compared", "differences"))
    both = range(compared // 20 - 1, compared // 20 + 1)  # hosts, each of which counts to 20
    assert differences in both if fault == made.DIFFERS else differences == 0
    beside, (killed, _) = server.hosts(), children(server.process.pid, "cloche-front")
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(set(server.hosts()) - set(beside)) == 2)  # of another worker
    with Load(server, check=right) as load:
        wait_for(lambda: shadow(server)["compared"] > compared + 50)
    assert load.failures == []


@pytest.mark.breadth
def test_a_shadow_that_moves_again_and_again_costs_no_caller_of_any_worker(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    shutil.copytree(saved(1, made.GOOD), registry.artifacts("3"))
    registry.client.create_model_version("m", source=str(registry.artifacts("3")))
    server = serve("--workers", "2").wait_until_ready()

    def compares(version: str) -> bool:
        told = shadow(server)
        return told.get("version") == version and told.get("compared", 0) > 0

    with Load(server, check=right, clients=2) as load:
        for version in ("2", "3") * 2:
            registry.client.set_model_version_tag("m", version, "cloche.shadow_percent", "50")
            registry.promote(version, alias="shadow")
            wait_for(partial(compares, version))
        registry.promote("3")  # which is the shadow, too
        server.wait_for_version("3")
        wait_for(lambda: "in production" in (shadow(server)["problem"] or ""))
        registry.client.delete_registered_model_alias("m", "shadow")
        wait_for(lambda: not shadow(server) and len(server.hosts()) == 2)
    assert load.failures == []


def test_a_shadow_that_cannot_be_loaded_gets_nothing_and_is_told(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    shutil.rmtree(registry.artifacts("2"))
    server = serve("--workers", "1").wait_until_ready()
    registry.promote("2", alias="shadow")
    wait_for(lambda: "cannot be" in (shadow(server).get("problem") or ""))
    assert server.get("/readyz").status_code == 200
    assert right(server.predict())
    assert dropped(server, "no host") == 0
