"""A rollout from end to end: servers count what clients ask, and the driver walks by the counts."""

import json
import shutil
import subprocess
from contextlib import ExitStack

import pytest

from tests import warm
from tests.lifecycle import make_canaries as made
from tests.lifecycle.registry import Registry, Serve
from tests.lifecycle.test_canary import register, right, saved
from tests.online import Load, wait_for
from tests.shell import environment

pytestmark = pytest.mark.slow

SHADOW = "shadow: {percent: 50, requests: 30, disagreement: 0.3}\n"
PLAN = """
steps: [20, 50]
at_least: {minutes: 0, requests: 30}
failures: {margin: 0.2}
slow: null
"""


def roll_out(registry: Registry, plan: str, *arguments: str, code: int = 0) -> str:
    """Roll version 2 out, as if it had passed the gate; what the command wrote."""
    for key, value in {"gate": "passed", "digest": ""}.items():
        registry.client.set_model_version_tag("m", "2", f"cloche.{key}", value)
    (registry.directory / "plan.yaml").write_text(plan)
    command = ["rollout", "m", "--version", "2", "--plan", "plan.yaml", "--poll", "0.5"]
    done = subprocess.run(
        [warm.python(), "-m", "cloche", *command, *arguments], cwd=registry.directory,
        env=environment() | {"MLFLOW_TRACKING_URI": registry.uri}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


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
    assert registry.client.get_registered_model("m").aliases == {"production": "1"}
