"""A registry with two versions, time that passes when told to, and a server that counts meanwhile.

The server is not Cloche's: it follows aliases and tags as `docs/rollout.md` says, and writes what
it counts as `cloche.rollout.server_counts` says.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.server_counts import ServerCounts
from cloche.training.rollout.driver import drive
from cloche.training.rollout.ending import RolloutEnd
from cloche.training.rollout.look import Look
from cloche.training.rollout.rollout_request import RolloutRequest
from tests.training.promotion.conftest import Hands

MODEL = "flight-delay"
PLAN = {
    "steps": [10, 50], "at_least": {"minutes": 1, "requests": 50},
    "failures": {"margin": 0.05}, "slow": None,
}  # fmt: skip


@dataclass
class FakeServer:
    """A server that follows the aliases, and counts at each moment that passes.

    Attributes:
        fails: The share of the canary's requests that fail, or of the shadow's that differ.
        served: The shares that were served, in their order, each once in a row.
    """

    client: MlflowClient
    name: str = "host-1"
    requests: int = 2000
    fails: float = 0.0
    silent: bool = False
    counts: RolloutCounts = field(default_factory=RolloutCounts)
    run_id: str = ""
    version: str = ""
    served: list[str] = field(default_factory=list)

    def count(self, now: float) -> None:
        """Let requests come, and write the tag."""
        aliases = self.client.get_registered_model(MODEL).aliases
        arm = next((one for one in ("canary", "shadow") if one in aliases), None)
        if self.silent:
            return
        if arm is None:
            self._end(now)
            return
        version = str(aliases[arm])
        tags = self.client.get_model_version(MODEL, version).tags
        if tags.get("cloche.rollout", "").startswith("aborted"):
            return
        if tags["cloche.rollout_run_id"] != self.run_id:
            self.run_id, self.counts = tags["cloche.rollout_run_id"], RolloutCounts()
        percent = float(tags[f"cloche.{arm}_percent"])
        if (seen := f"{arm} {percent:g}") not in self.served[-1:]:
            self.served.append(seen)
        if arm == "canary":
            self._count_canary(percent)
        else:
            self._count_shadow()
        told = ServerCounts(
            self.counts, at=now, run_id=self.run_id,
            percent=percent if arm == "canary" else 0.0,
            shadow_percent=percent if arm == "shadow" else 0.0,
        )  # fmt: skip
        self.version = version
        self._write(told)

    def _end(self, now: float) -> None:
        """Write a last time, some time after the alias is gone."""
        if self.version:
            self._write(ServerCounts(self.counts, at=now, run_id=self.run_id))
            self.version = ""

    def _write(self, told: ServerCounts) -> None:
        key = f"cloche.rollout_counts.{self.name}"
        self.client.set_model_version_tag(MODEL, self.version, key, told.as_json())

    def _count_canary(self, percent: float) -> None:
        canary = round(self.requests * percent / 100)
        for what in ("requests", "callers"):
            self.counts.count(percent, "canary", what, canary)
            self.counts.count(percent, "production", what, self.requests - canary)
        for what in ("failures", "failure_events"):
            self.counts.count(percent, "canary", what, round(canary * self.fails))

    def _count_shadow(self) -> None:
        self.counts.count(0, "shadow", "requests", self.requests)
        self.counts.count(0, "shadow", "differences", round(self.requests * self.fails))
        self.counts.count(0, "baseline", "requests", self.requests // 10)


@dataclass
class Moments(Hands):
    """A clock whose moments make things happen."""

    each: list[Callable[[float], None]] = field(default_factory=list)

    def move(self, seconds: float) -> None:
        """Let time pass, and happen what happens meanwhile."""
        super().move(seconds)
        for happen in self.each:
            happen(self.moment.timestamp())


@dataclass
class Shown:
    """A display that keeps what it showed."""

    looks: list[Look] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def show(self, look: Look) -> None:
        """Keep a look."""
        self.looks.append(look)

    def say(self, sentence: str) -> None:
        """Keep a sentence."""
        self.said.append(sentence)


@pytest.fixture
def moments() -> Moments:
    """A clock under the test's control."""
    return Moments()


@pytest.fixture
def shown() -> Shown:
    """What people have seen."""
    return Shown()


@pytest.fixture
def two(client: MlflowClient) -> MlflowClient:
    """Version 1 in production, and version 2, the challenger, which has passed the gate."""
    client.create_registered_model(MODEL)
    for number in "12":
        client.create_model_version(MODEL, "file:///nowhere")
        client.set_model_version_tag(MODEL, number, "cloche.gate", "passed")
        client.set_model_version_tag(MODEL, number, "cloche.digest", "d" * 64)
    client.set_registered_model_alias(MODEL, "production", "1")
    client.set_registered_model_alias(MODEL, "challenger", "2")
    return client


@pytest.fixture
def server(two: MlflowClient, moments: Moments) -> FakeServer:
    """A server whose requests come as time passes."""
    found = FakeServer(two)
    moments.each.append(found.count)
    return found


@pytest.fixture
def plan_file(tmp_path: Path) -> Callable[..., str]:
    """Write a small plan, with changes; gives its path."""

    def write(**changes: Any) -> str:
        path = tmp_path / "plan.yaml"
        path.write_text(json.dumps({"rollout": {**PLAN, **changes}}))
        return str(path)

    return write


@pytest.fixture
def walk(
    two: MlflowClient, moments: Moments, shown: Shown, plan_file: Callable[..., str]
) -> Callable[..., RolloutEnd]:
    """Drive a rollout by the small plan: (client, changes of the plan, **of the request)."""

    def run(client: Any = two, changes: dict[str, Any] | None = None, **request: Any) -> RolloutEnd:
        asked = RolloutRequest(plan=plan_file(**(changes or {})), poll=30, **request)
        return drive(client, MODEL, asked, shown, clock=moments.clock)

    return run
