"""A shadow on workers that are objects of the test: its share, its copies, and its end."""

from typing import Any, cast

import pytest

from cloche.rollout.counts import RolloutCounts
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import DIFFERS, Answer, Item
from cloche.serving.workers.arms_on_workers import ArmsOnWorkers, CopiesOnWorkers, counts_handler
from cloche.serving.workers.worker_model import WorkerModel
from tests.in_a_loop import in_a_loop
from tests.serving.workers.test_canary_on_workers import LocalPool, Worker

SAME = Answer(200, 0, 1, b"")
OTHER = SAME._replace(body_type=DIFFERS)
SHARE: dict[str, Any] = {"arm": "shadow", "percent": 100.0, "tolerance": 1e-6}


class ShadowPool(LocalPool):
    """A version pool that has lost hosts as often as a test says."""

    losses = 0
    idle = True

    def has_room(self, _: Any) -> bool:
        return self.room


class OneWorker(Worker):
    """A worker with version 1 in production, which tells what it compares."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []
        model = self.models.get("m")
        assert model is not None
        model._report = lambda **counted: self.told.append(counted)

    def make(self, _: str, resolved: Any, __: Any) -> LocalPool:
        self.made.append(ShadowPool(resolved.version))
        return self.made[-1]

    async def shadow(self, key: int, counting: str = "1", **share: Any) -> None:
        await self.call["switch"](key=key, beside={**SHARE, "counting": counting, **share})

    async def begin_with_shadow(self) -> tuple[LocalPool, LocalPool]:
        production, shadow = await self.load(1), await self.load(2)
        await self.call["switch"](key=1, beside=None)
        await self.shadow(2)
        return production, shadow


@in_a_loop
async def test_a_worker_copies_its_own_requests_and_tells_what_differs_and_what_was_lost() -> None:
    worker = OneWorker()
    _, shadow = await worker.begin_with_shadow()
    await worker.shadow(2, percent=50.0, tolerance=0.5)
    copies = cast("Any", worker.model.arms)
    assert (copies.percent, copies.tolerance, cast("Any", shadow).paused) == (50.0, 0.5, True)
    for answer in (SAME, OTHER, OTHER):
        copies.copy("shadow", Item("", b""), 1, SAME)
        shadow.answer(answer)
    cast("Any", shadow).losses = 3
    copies.flush()
    (told,) = worker.told
    counts = RolloutCounts.parse(told["counts"])
    assert (told["counting"], told["losses"]) == ("1", 3)
    assert [counts.sum("shadow", what) for what in ("requests", "differences")] == [3, 2]
    copies.flush()
    assert len(worker.told) == 1  # nothing is new
    await worker.shadow(2, counting="2")
    assert worker.model.arms is not copies  # which counts anew


@pytest.mark.parametrize("first", ["canary", "shadow"])
@in_a_loop
async def test_requests_of_a_worker_pass_a_shadow_and_then_a_canary_whoever_came_first(
    first: str,
) -> None:
    worker = OneWorker()
    if first == "canary":
        _, canary = await worker.begin()
        shadow = await worker.load(3)
        await worker.shadow(3)
    else:
        _, shadow = await worker.begin_with_shadow()
        canary = await worker.load(3)
        share = {"arm": "canary", "percent": 100.0, "counting": "9", "plan": "{}"}
        await worker.call["switch"](key=3, beside=share)
    arms = cast("Any", worker.model.arms)
    assert (arms.pool, arms.canary.pool) == (shadow, canary)
    worker.ask()
    assert len(canary.requests) == 1
    closing = 2 if first == "shadow" else 3
    await worker.call["close"](key=closing)
    assert cast("Any", worker.model.arms).pool is canary
    assert worker.model.shadow is None


@in_a_loop
async def test_a_shadow_that_a_worker_closes_takes_nothing_with_it() -> None:
    worker = OneWorker()
    production, shadow = await worker.begin_with_shadow()
    model: WorkerModel = worker.model
    await worker.call["close"](key=2)
    await shadow.closed.wait()
    assert (model.arms, model.shadow, model.current) == (None, None, production)


class Parent:
    """A shadow on workers, as their parent has it."""

    losses = 0
    version = "2"

    def __init__(self) -> None:
        self.shares: list[dict[str, Any]] = []
        self.copies = CopiesOnWorkers(
            "m", cast("Any", self), 10.0, 1e-6, Metrics(), production=lambda: None
        )

    def set_share(self, **share: Any) -> None:
        self.shares.append(share)


@in_a_loop
async def test_workers_are_told_of_a_shadow_once_and_of_what_changes() -> None:
    parent = Parent()
    for _ in range(2):
        parent.copies.percent, parent.copies.tolerance = 10.0, 1e-6
    parent.copies.percent = 20.0
    parent.copies.tolerance = 0.5
    told = [(one["arm"], one["percent"], one["tolerance"]) for one in parent.shares]
    assert told == [("shadow", 10.0, 1e-6), ("shadow", 20.0, 1e-6), ("shadow", 20.0, 0.5)]
    assert {one["counting"] for one in parent.shares} == {parent.copies.name}


@in_a_loop
async def test_what_workers_compare_adds_up_also_beside_a_canary_and_what_is_late_is_left_out() -> (
    None
):
    parent = Parent()
    model: Any = type("Model", (), {"arms": parent.copies})
    add = counts_handler(cast("Any", [model]))
    counts = '{"0":{"shadow":{"requests":4,"differences":1}}}'
    await add(parent.copies.name, counts=counts, losses=2)
    await add("another", counts=counts, losses=2)
    parent.copies.canary = cast("Any", FakeCanary())
    await add(parent.copies.name, counts=counts, losses=0)
    described = parent.copies.describe()
    assert (described["compared"], described["differences"], parent.losses) == (8, 2, 2)
    assert parent.copies.counted().shadow_percent == 10.0
    await add("c", counts="of the canary", callers=[])
    assert cast("Any", parent.copies.canary).added == ["of the canary"]


class FakeCanary(ArmsOnWorkers):
    """Keeps what it is to add."""

    def __init__(self) -> None:
        self.name = "c"
        self.added: list[str] = []

    def add(self, counts: str, callers: Any) -> None:
        assert not callers
        self.added.append(counts)
