"""A rollout from end to end: servers count what clients ask, and the driver walks by the counts."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import warm
from tests.broken_servers import answering, bad_gateway
from tests.lifecycle import make_canaries as made
from tests.lifecycle.registry import Registry, Serve
from tests.lifecycle.test_canary import register, right, saved
from tests.online import COMMAND, Load, Server, tracking_server, wait_for
from tests.shell import environment

pytestmark = pytest.mark.slow

SHADOW = "shadow: {percent: 50, requests: 30, disagreement: 0.3}\n"
PLAN = """
steps: [20, 50]
at_least: {minutes: 0, requests: 30}
failures: {margin: 0.2}
slow: null
"""
ONE_STEP = """
steps: [50]
at_least: {minutes: 0, requests: 50}
failures: {margin: %s}
slow: null
"""
AWAY_SECONDS = 30.0
# Pairs of a good and a bad version, each fault in turn. Give ten for twenty rollouts, for instance.
PAIRS = int(os.environ.get("CLOCHE_ROLLOUT_PAIRS", "5"))


@contextmanager
def driving(
    registry: Registry, plan: str, *arguments: str, version: str = "2", uri: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """`cloche rollout` of a version that has passed the gate, killed if it has not ended."""
    for key, value in {"gate": "passed", "digest": ""}.items():
        registry.client.set_model_version_tag("m", version, f"cloche.{key}", value)
    (registry.directory / "plan.yaml").write_text(plan)
    command = ["rollout", "m", "--version", version, "--plan", "plan.yaml", "--poll", "0.5"]
    driver = subprocess.Popen(
        [warm.python(), "-m", "cloche", *command, *arguments], cwd=registry.directory,
        env=environment() | {"MLFLOW_TRACKING_URI": uri or registry.uri}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield driver
    finally:
        driver.kill()
        driver.communicate(timeout=60)


def end_of(driver: subprocess.Popen[str], code: int = 0) -> str:
    """What a driver wrote until it ended with an exit code."""
    output, errors = driver.communicate(timeout=900)
    assert driver.returncode == code, output + errors
    return output if code == 0 else errors


def roll_out(registry: Registry, plan: str, *arguments: str, code: int = 0) -> str:
    """Roll version 2 out; what the command wrote."""
    with driving(registry, plan, *arguments) as driver:
        return end_of(driver, code)


def aliases(registry: Registry) -> dict[str, str]:
    return {k: str(v) for k, v in registry.client.get_registered_model("m").aliases.items()}


def wait_for_aliases(registry: Registry, expected: dict[str, str]) -> None:
    """Wait until the model has these aliases."""
    wait_for(lambda: expected.items() <= aliases(registry).items())


def register_twin_versions(registry: Registry) -> None:
    """Version 1 in production, and a version 2 that answers the same."""
    register(registry)
    shutil.copytree(saved(1, made.GOOD), registry.artifacts("2"))
    registry.client.create_model_version("m", source=str(registry.artifacts("2")))


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.breadth)])
def test_a_good_version_gets_all_callers_after_shadow_and_steps_without_a_failed_request(
    registry: Registry, serve: Serve, count: int
) -> None:
    register_twin_versions(registry)
    servers = [serve().wait_until_ready() for _ in range(count)]
    with ExitStack() as stack:
        loads = [stack.enter_context(Load(server)) for server in servers]
        *looks, end = map(json.loads, roll_out(registry, SHADOW + PLAN, "--json").splitlines())
        wait_for(lambda: all(one.state()["version"] == "2" for one in servers))
    assert not any(load.failures for load in loads)
    assert end["outcome"] == "promoted"
    advances = [look for look in looks if look["decision"] == "advance"]
    assert [(one["arm"], one["percent"]) for one in advances] == [
        ("shadow", 50), ("canary", 20), ("canary", 50),
    ]  # fmt: skip
    assert advances[-1]["servers"] >= count
    tags = registry.client.get_model_version("m", "2").tags
    assert not [key for key in tags if "counts" in key or "percent" in key or "step" in key]


@pytest.mark.breadth
def test_a_version_that_fails_ends_its_rollout_and_costs_no_caller(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.ALL_FAIL)
    server = serve().wait_until_ready()
    with Load(server, check=right) as load:
        said = roll_out(registry, PLAN, code=3)
    assert not load.failures
    assert "version 2 was aborted: the canary failed" in said
    assert aliases(registry) == {"production": "1"}


@pytest.mark.breadth  # tests/training/rollout/test_kills.py kills a driver at each of its writes
def test_a_driver_that_is_killed_goes_on_when_it_is_started_again(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.GOOD)
    server = serve().wait_until_ready()

    def percent() -> str:
        return registry.client.get_model_version("m", "2").tags.get("cloche.canary_percent", "")

    with Load(server, check=right) as load:
        with driving(registry, PLAN):
            wait_for(lambda: percent() == "20")
            wait_for_aliases(registry, {"canary": "2"})  # which is written next
        assert aliases(registry) == {"production": "1", "canary": "2"}
        assert "goes on: 50 % of the callers, step 2 of 2" in roll_out(registry, PLAN)
        server.wait_for_version("2")
    assert not load.failures
    assert aliases(registry) == {"production": "2", "previous": "1"}


@pytest.mark.breadth
@pytest.mark.timeout(1000)  # it takes some ten thousand requests to tell
def test_a_version_that_fails_one_of_500_requests_is_not_promoted(
    registry: Registry, serve: Serve
) -> None:
    register(registry, made.FAILS_RARELY)
    server = serve().wait_until_ready()
    with Load(server, check=right, clients=16, pause=0.0) as load:
        roll_out(registry, ONE_STEP % 0.001, code=3)
    assert not load.failures
    assert aliases(registry) == {"production": "1"}


@contextmanager
def switched(url: str) -> Iterator[tuple[str, threading.Event]]:
    """The address of what stands before a registry, and answers for it while an event is set."""
    away = threading.Event()

    def answer(handler: Any, body: bytes) -> None:
        if away.is_set():
            bad_gateway(handler, body)
            return
        response = requests.request(
            handler.command, url + handler.path, data=body, timeout=60,
            headers={"content-type": handler.headers.get("content-type") or "application/json"},
        )  # fmt: skip
        handler.reply(response.status_code, response.content, response.headers["content-type"])

    with answering(answer) as address:
        yield address, away


def kill_a_host(servers: Sequence[Server], chance: random.Random) -> None:
    """Kill a host of a server, of either arm."""
    if hosts := chance.choice(servers).hosts():
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(hosts), signal.SIGKILL)


@pytest.mark.breadth
@pytest.mark.timeout(150 * PAIRS)
def test_rollouts_in_a_row_end_as_they_should_whatever_is_lost_meanwhile(
    registry: Registry, serve: Serve, tmp_path: Path
) -> None:
    """Good and bad versions, a killed host in each, and a registry that is away now and then."""
    chance = random.Random(11)  # noqa: S311  # no secret
    faults = [made.GOOD] * PAIRS + list(islice(cycle(made.FAULTS), PAIRS))
    chance.shuffle(faults)
    register(registry, *faults)
    with tracking_server(registry.uri, tmp_path) as url, switched(url) as (address, away):
        start = ("--request-timeout", "6")
        servers = [
            serve(*start, program=COMMAND, MLFLOW_TRACKING_URI=address).wait_until_ready()
            for _ in range(2)
        ]
        expected = {"production": "1"}
        with ExitStack() as stack:
            loads = [stack.enter_context(Load(one, clients=3, check=right)) for one in servers]
            for version, fault in enumerate(faults, 2):
                number, good = str(version), fault == made.GOOD
                with driving(registry, ONE_STEP % 0.01, version=number, uri=address) as driver:
                    wait_for_aliases(registry, {"canary": number})
                    if version % 7 == 0:
                        away.set()
                        time.sleep(AWAY_SECONDS)
                        away.clear()
                    kill_a_host(servers, chance)
                    end_of(driver, 0 if good else 3)
                if good:
                    expected = {"production": number, "previous": expected["production"]}
                wait_for_aliases(registry, expected)
                wait_for(lambda: "canary" not in aliases(registry))
                for server in servers:
                    server.wait_for_version(expected["production"])
        assert not any(load.failures for load in loads)
