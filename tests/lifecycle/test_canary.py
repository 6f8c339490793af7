"""A canary beside production: who gets it, what its faults cost, and how it ends."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.lifecycle import make_canaries as made
from tests.lifecycle.registry import Registry, Serve
from tests.online import Load, Server, wait_for
from tests.shelf import shelf

pytestmark = pytest.mark.slow


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


class Callers(Load):
    """Clients of whom each request is another caller."""

    def _ask(self) -> None:
        with requests.Session() as session:
            while not self._stop.wait(self.pause):
                response = session.post(self.server.url + self.path, json=self.body, timeout=60)
                self.outcomes[response.headers.get("x-model-version", "")] += 1
                if not self.check(response):
                    self.failures.append(f"{response.status_code} {response.text}")


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


@pytest.mark.parametrize("fault", made.FAULTS)
def test_a_bad_canary_costs_no_caller_anything_and_ends_itself(
    registry: Registry, serve: Serve, fault: str
) -> None:
    register(registry, fault)
    server = serve("--request-timeout", "6").wait_until_ready()
    roll_out(registry)
    wait_for_canary(server)
    with Load(server, check=right, pause=0.01) as load:
        wait_for(lambda: "cloche.rollout" in registry.client.get_model_version("m", "2").tags)
        load.wait_for_more(20)
    assert load.failures == []
    wait_for(lambda: "canary" not in registry.client.get_registered_model("m").aliases)
    state = registry.client.get_model_version("m", "2").tags["cloche.rollout"]
    assert state.startswith("aborted: ")
    assert server.metric("cloche_arm_failures_total", arm="canary") <= 20
    registry.promote("2", alias="canary")  # of which this server has had enough
    wait_for(lambda: "removed" in (canary(server).get("problem") or ""))
    assert server.predict().headers["x-model-version"] == "1"
    registry.client.delete_model_version_tag("m", "2", "cloche.rollout")
    wait_for_canary(server)
