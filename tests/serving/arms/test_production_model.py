"""How a model and its arms follow the registry, while it changes its mind or does not answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest

from cloche.rollout.plan import Plan, Shadow, Slow
from cloche.rollout.server_counts import ServerCounts
from cloche.serving.arms.production_model import ProductionModel
from cloche.serving.dispatch.pool_settings import PoolSettings
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.errors import RegistryUnreachable
from cloche.serving.observability.metrics import Metrics
from cloche.serving.queue.batching_queue import BatchLimits, QueueLimits
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import parse
from tests.in_a_loop import in_a_loop
from tests.serving.dispatch.test_version_pool import FakeReplica

SETTINGS = PoolSettings(
    replicas=1, load_timeout=1.0, predict_timeout=1.0,
    queue=QueueLimits(100, 10**6, 10**6), batches=BatchLimits(100, 10**6),
)  # fmt: skip


class Replica(FakeReplica):
    """Says what kind of predictor it has."""

    async def load(self, *_: Any) -> dict[str, Any]:
        return {"predictor": "model"}


def resolved(version: str, **more: Any) -> dict[str, Any]:
    """What the registry says of a version."""
    return asdict(ResolvedVersion(version, "", version, f"{version} {more}", **more))


class FakeRegistry:
    """Has the aliases that a test says, and fails to write as often as it says."""

    def __init__(self) -> None:
        self.production = resolved("1")
        self.canary: dict[str, Any] | None = None
        self.shadow: dict[str, Any] | None = None
        self.looks: list[set[str]] = []
        self.lost_writes = 0
        self.written: list[str] = []
        self.counts: dict[str, ServerCounts] = {}

    async def call(self, question: str, *_: Any, **about: Any) -> Any:
        await asyncio.sleep(0)
        if question == "end_canary":
            if self.lost_writes:
                self.lost_writes -= 1
                raise RegistryUnreachable("It is away.")
            self.written.append(about["state"])
        if question == "write_counts":
            self.counts[about["server"]] = ServerCounts.parse(about["value"])
        if question == "remove_counts":
            self.counts = {k: v for k, v in self.counts.items() if v.run_id != about["run_id"]}
        if question == "resolve_arms":
            self.looks.append(set(about["aliases"]))
            return self.production | {alias: getattr(self, alias) for alias in about["aliases"]}
        return None


class Rollout:
    """A model that follows a registry with version 1 in production."""

    def __init__(self) -> None:
        self.registry = FakeRegistry()
        self.pools: list[VersionPool] = []
        self.made_for: list[ResolvedVersion] = []
        self.model = ProductionModel(
            parse("models:/m@production"),
            cast("Any", self.registry),
            Metrics(),
            make=self.make,
        )

    async def make(self, _: str, version: ResolvedVersion) -> Any:
        async def spawn() -> Any:
            return Replica()

        self.made_for.append(version)
        self.pools.append(
            VersionPool(
                "m", version.version, Path(), settings=SETTINGS, metrics=Metrics(), spawn=spawn
            )
        )
        return self.pools[-1]

    @property
    def canary(self) -> dict[str, Any]:
        """What `/readyz` says of the canary."""
        described: dict[str, Any] = self.model.describe().get("canary", {})
        return described

    async def wait_for_canary(self, version: str) -> None:
        arms = lambda: cast("Any", self.model.arms)  # noqa: E731
        await until(lambda: arms() is not None and arms().pool.version == version)


@asynccontextmanager
async def rollout() -> AsyncIterator[Rollout]:
    """A model that follows the registry, once it serves version 1."""
    made = Rollout()
    following = asyncio.create_task(made.model.follow(0.001))
    try:
        async with asyncio.timeout(30):
            await until(lambda: made.model.ready)
            yield made
    finally:
        following.cancel()
        await made.model.close()


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.001)


def abort(made: Rollout, reason: str = "it failed") -> None:
    """Have the canary fail enough."""
    arms = cast("Any", made.model.arms)
    arms._abort(reason)


@in_a_loop
async def test_absent_arms_are_looked_for_in_turn_at_every_fifth_poll_and_found_ones_always() -> (
    None
):
    async with rollout() as made:
        looks = made.registry.looks
        await until(lambda: len(looks) > 10)
        assert looks[0] == {"canary", "shadow"}
        assert not any(looks[1:5] + looks[6:10])
        assert [*looks[5], *looks[10]] in (["canary", "shadow"], ["shadow", "canary"])
        made.registry.canary = resolved("2")
        await made.wait_for_canary("2")
        seen = len(looks)
        await until(lambda: len(looks) > seen + 5)
        assert all("canary" in one for one in looks[seen:])
        assert sum("shadow" in one for one in looks[seen : seen + 5]) == 1
        assert made.canary["percent"] == 1.0
        woken = len(looks)
        made.model.wake()
        await until(lambda: {"canary", "shadow"} in looks[woken : woken + 3])


@in_a_loop
async def test_a_moved_alias_ends_the_old_canary_at_once() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2", canary_percent="30")
        await made.wait_for_canary("2")
        assert made.canary["percent"] == 30
        made.registry.canary = resolved("3")
        await made.wait_for_canary("3")
        none = {"requests": 0, "failures": 0}
        assert made.canary == {
            "version": "3", "percent": 1.0, "ready": True, "loading": None, "problem": None,
            "counts": {"canary": none, "production": none},
            "abort": {"failures": 0, "at": 3, "one_of": 1, "limit": 200}, "warning": None,
        }  # fmt: skip
        made.registry.canary = None
        await until(lambda: made.model.arms is None)
        assert "canary" not in made.model.describe()


@in_a_loop
async def test_a_registry_that_does_not_answer_is_told_of_an_abort_when_it_does() -> None:
    async with rollout() as made:
        made.registry.canary, made.registry.lost_writes = resolved("2"), 2
        await made.wait_for_canary("2")
        abort(made)
        assert made.model.arms is None
        await until(lambda: made.registry.written == ["aborted: it failed"])
        assert made.model.arms is None
        assert "removed" in made.canary["problem"]


@in_a_loop
async def test_an_aborted_version_stays_away_until_its_tag_is_gone() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2")
        await made.wait_for_canary("2")
        abort(made)
        made.registry.canary = resolved("2", rollout="aborted: it failed")
        await until(lambda: len(made.registry.written) > 0)
        polls = len(made.registry.looks)
        await until(lambda: len(made.registry.looks) > polls + 5)
        assert made.model.arms is None
        assert len(made.pools) == 2
        made.registry.canary = resolved("2")
        await made.wait_for_canary("2")


@in_a_loop
async def test_a_promoted_canary_brings_its_replicas() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2")
        await made.wait_for_canary("2")
        made.registry.production = resolved("2")
        await until(lambda: made.model.current is made.pools[1])
        assert made.model.arms is None
        await until(lambda: made.registry.written == ["promoted"])
        assert "canary" not in made.model.describe()
        assert len(made.pools) == 2


@in_a_loop
async def test_a_canary_whose_stage_is_absent_is_told() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2", problem="Its stage is gone.")
        await until(lambda: made.canary.get("problem") == "Its stage is gone.")
        assert made.model.ready


def arms_of(made: Rollout) -> Any:
    return made.model.arms


@in_a_loop
async def test_a_server_tells_its_share_while_it_serves_a_canary_set_by_hand() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2")
        await until(lambda: [one.percent for one in made.registry.counts.values()] == [1.0])
        made.registry.canary = resolved("2", canary_percent="30")
        await until(lambda: [one.percent for one in made.registry.counts.values()] == [30.0])
        made.registry.canary = None
        await until(lambda: not made.registry.counts)


DRIVEN = {"rollout": "running: step 1", "rollout_run_id": "run"}


@in_a_loop
async def test_a_rollout_counts_anew_and_keeps_what_a_server_counted() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2")
        await made.wait_for_canary("2")
        by_hand = arms_of(made)
        made.registry.canary = resolved("2", **DRIVEN)
        await until(lambda: made.model.arms not in (None, by_hand))
        assert arms_of(made).pool is by_hand.pool
        await until(lambda: [one.run_id for one in made.registry.counts.values()] == ["run"])
        arms_of(made).counts.total.count(1.0, "canary", "requests", 7)
        made.registry.canary = None
        await until(lambda: any(one.percent == 0 for one in made.registry.counts.values()))
    (last,) = made.registry.counts.values()
    assert last.counts.of(1.0, "canary", "requests") == 7


@in_a_loop
async def test_a_server_that_ends_leaves_its_counts_and_the_next_one_adds_to_them() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2")
        await until(lambda: bool(made.registry.counts))
    assert [one.percent for one in made.registry.counts.values()] == [0.0]
    left = made.registry.counts
    async with rollout() as made:
        made.registry.canary, made.registry.counts = resolved("2"), left
        await until(lambda: len(made.registry.counts) == 2)


@in_a_loop
async def test_the_plan_and_the_number_of_servers_are_followed() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2", counting_servers=("a", "b"))
        await made.wait_for_canary("2")
        counts = arms_of(made).counts
        assert (counts.plan, counts.servers) == (Plan(), ("a", "b"))
        strict = Plan(confidence=0.999, slow=Slow(quantile=0.9))
        (own,) = made.registry.counts
        made.registry.canary = resolved(
            "2", counting_servers=("a", own), rollout_plan=strict.as_json()
        )
        await until(lambda: (counts.plan, counts.servers) == (strict, ("a", own)))
        assert counts.server == own


@in_a_loop
async def test_a_canary_with_a_wrong_plan_gets_no_requests_until_it_is_mended() -> None:
    async with rollout() as made:
        made.registry.canary = resolved("2", rollout_plan='{"steps": [5, 1], "pace": 3}')
        await made.wait_for_canary("2")
        assert (made.canary["percent"], arms_of(made).percent) == (0.0, 0.0)
        assert made.canary["problem"] == (
            "Its tag cloche.rollout_plan is no plan of a rollout: steps: must ascend, found "
            "[5, 1]; pace: unknown key; the keys are shadow, steps, at_least, deadline_hours, "
            "failures, slow, confidence. It gets no requests until the tag is one, or is removed."
        )
        made.registry.canary = resolved("2", rollout_plan="{}")
        await until(lambda: arms_of(made).percent == 1.0)
        assert made.canary["problem"] is None


def shadow_of(made: Rollout) -> dict[str, Any]:
    """What `/readyz` says of the shadow."""
    described: dict[str, Any] = made.model.describe().get("shadow", {})
    return described


async def wait_for_shadow(made: Rollout, version: str) -> None:
    await until(
        lambda: bool(shadow_of(made).get("ready")) and shadow_of(made)["version"] == version
    )


@in_a_loop
async def test_a_shadow_follows_its_alias_beside_a_canary_and_yields_to_both() -> None:
    async with rollout() as made:
        made.registry.shadow = resolved("2")
        await wait_for_shadow(made, "2")
        assert made.made_for[-1].low_priority
        assert shadow_of(made) == {
            "version": "2", "percent": 10.0, "ready": True, "loading": None, "problem": None,
            "compared": 0, "differences": 0, "baseline": {"compared": 0, "differences": 0},
        }  # fmt: skip
        await until(lambda: told(made) == [("", 10.0)])
        copies = made.model.arms
        made.registry.canary = resolved("3")
        await until(lambda: bool(made.canary.get("ready")))
        assert made.model.arms is copies
        assert not made.made_for[-1].low_priority
        made.registry.shadow = None
        await until(lambda: made.model.arms is not copies)
        assert "shadow" not in made.model.describe()
        await made.wait_for_canary("3")
        made.registry.canary = None
        await until(lambda: made.model.arms is None)


@in_a_loop
async def test_a_rollout_gives_the_tolerance_and_has_the_shadow_counted_anew() -> None:
    plan = Plan(shadow=Shadow(tolerance=0.01)).as_json()
    async with rollout() as made:
        made.registry.shadow = resolved("2")
        await wait_for_shadow(made, "2")
        by_hand = cast("Any", made.model.arms)
        assert by_hand.tolerance == 1e-6
        made.registry.shadow = resolved(
            "2", rollout="running", rollout_run_id="run", rollout_plan=plan, shadow_percent="20"
        )
        await until(lambda: told(made) == [("run", 20.0)])
        assert cast("Any", made.model.arms).tolerance == 0.01
        assert by_hand.ended
        assert len(made.pools) == 2
        made.registry.shadow = None
        await until(lambda: told(made) == [("run", 0.0)])


def told(made: Rollout) -> list[tuple[str, float]]:
    """The run and the shadow's share in the tags of counts."""
    return [(one.run_id, one.shadow_percent) for one in made.registry.counts.values()]


@pytest.mark.parametrize("percent", ["51", "-1", "some"])
@in_a_loop
async def test_a_share_above_half_is_told_and_copies_nothing(percent: str) -> None:
    async with rollout() as made:
        made.registry.shadow = resolved("2", shadow_percent="50")
        await wait_for_shadow(made, "2")
        assert shadow_of(made)["percent"] == 50
        made.registry.shadow = resolved("2", shadow_percent=percent)
        await until(lambda: "from 0 to 50" in (shadow_of(made)["problem"] or ""))
        assert shadow_of(made)["percent"] == 0


@in_a_loop
async def test_what_cannot_be_a_shadow_is_told_and_takes_no_copies() -> None:
    async with rollout() as made:
        made.registry.shadow = resolved("2")
        await wait_for_shadow(made, "2")
        made.registry.shadow = resolved("2") | {"retry": False}
        await until(lambda: "effects" in (shadow_of(made)["problem"] or ""))
        assert made.model.arms is None
        made.registry.shadow = resolved("1")
        await until(lambda: "is in production" in (shadow_of(made)["problem"] or ""))
        made.registry.shadow = resolved("3")
        await wait_for_shadow(made, "3")


@in_a_loop
async def test_a_shadow_that_loses_its_hosts_again_and_again_ends_until_its_alias_is_set_anew() -> (
    None
):
    async with rollout() as made:
        made.registry.shadow = resolved("2")
        await wait_for_shadow(made, "2")
        made.pools[-1]._replicas.losses = 4
        await polls(made, 3)
        assert made.model.arms is not None
        made.pools[-1]._replicas.losses = 5
        await until(lambda: "lost 5 hosts" in (shadow_of(made)["problem"] or ""))
        assert made.model.arms is None
        await polls(made, 3)
        assert len(made.pools) == 2
        made.registry.shadow = None
        await until(lambda: "shadow" not in made.model.describe())
        made.registry.shadow = resolved("2")
        await wait_for_shadow(made, "2")


async def polls(made: Rollout, count: int) -> None:
    """Wait for further polls of the registry."""
    seen = len(made.registry.looks)
    await until(lambda: len(made.registry.looks) > seen + count)
