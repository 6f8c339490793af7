"""A canary on workers that are objects of the test: its share, its counts, and its end."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from cloche.rollout.plan import Plan
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import Answer, Item
from cloche.serving.queue.prediction_request import PredictionRequest
from cloche.serving.registry.uri import parse
from cloche.serving.workers.arms_on_workers import ArmsOnWorkers, counts_handler
from cloche.serving.workers.counts_for_parent import CountsForParent
from cloche.serving.workers.worker_model import WorkerModel, WorkerModels
from cloche.serving.workers.worker_pools import WorkerPools
from tests.in_a_loop import in_a_loop
from tests.serving.arms.test_arms import OK, FakePool


class Canary:
    """A canary on two workers, which tell their parent what they count."""

    def __init__(self, percent: float = 50.0) -> None:
        self.shares: list[dict[str, Any]] = []
        self.aborts: list[str] = []
        self.arms = ArmsOnWorkers(
            "m", cast("Any", self), percent, ArmCounts(Plan()), Metrics(),
            production=lambda: None, abort=self.abort,
        )  # fmt: skip
        self.told = asyncio.Event()
        self.workers = [
            CountsForParent(self.shares[-1]["counting"], Plan(), self.send) for _ in range(2)
        ]

    def set_share(self, **share: Any) -> None:
        self.shares.append(share)

    def abort(self, reason: str) -> None:
        self.aborts.append(reason)
        self.arms.end()

    def send(self, counting: str, counts: str, callers: Any) -> None:
        assert counting == self.arms.name
        self.arms.add(counts, callers)
        self.told.set()

    def fail(self, worker: int, key: str, arm: Any = "canary") -> None:
        now = asyncio.get_running_loop().time()
        self.workers[worker].add_request(arm, 50.0, key.encode(), now, 0.1)
        self.workers[worker].add_failure(arm, 50.0, key.encode(), now)

    def count(self, what: Any, arm: Any = "canary") -> int:
        return self.arms.counts._own.of(50.0, arm, what)


@in_a_loop
async def test_what_all_workers_count_adds_up_and_a_caller_of_several_counts_once() -> None:
    canary = Canary()
    for worker in range(2):
        for key in ("kim", "lee"):
            canary.fail(worker, key)
        canary.workers[worker].flush()
    assert [canary.count(what) for what in ("requests", "failures")] == [4, 4]
    assert [canary.count(what) for what in ("callers", "failure_events")] == [2, 2]
    canary.workers[0].flush()  # of which nothing is new
    assert canary.count("requests") == 4


@in_a_loop
async def test_failures_at_several_workers_abort_a_canary_at_once() -> None:
    canary = Canary()
    for number in range(12):
        canary.fail(number % 2, str(number))
    assert not canary.aborts
    async with asyncio.timeout(10):
        while not canary.aborts:
            canary.told.clear()
            await canary.told.wait()
    assert len(canary.aborts) == 1
    assert "failed 12 of 12" in canary.aborts[0]


@in_a_loop
async def test_callers_at_a_share_that_has_changed_are_not_counted() -> None:
    canary = Canary()
    canary.arms.percent = 80.0
    canary.fail(0, "kim")
    canary.workers[0].flush()
    assert [canary.count(what) for what in ("requests", "callers")] == [1, 0]
    assert [share["percent"] for share in canary.shares] == [50.0, 80.0]


@in_a_loop
async def test_counts_of_a_canary_that_has_ended_are_left_out() -> None:
    canary = Canary()
    model: Any = type("Model", (), {"arms": canary.arms})
    add = counts_handler(cast("Any", [model]))
    counts = '{"50":{"canary":{"requests":1}}}'
    for name in (canary.arms.name, "another"):
        await add(name, counts=counts, callers=[])
    assert canary.count("requests") == 1


class LocalPool(FakePool):
    """A version pool that a worker can load, pause and close."""

    model = "m"
    description: dict[str, Any] = {}  # noqa: RUF012
    paused = False

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.closed = asyncio.Event()

    async def start(self, **_: Any) -> None:
        pass

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def release(self) -> list[PredictionRequest]:
        released, self.requests = self.requests, []
        return released

    def stop_waiting(self) -> None:
        pass

    async def close(self, _: Callable[[], Any]) -> None:
        self.closed.set()


class Worker:
    """A worker with version 1 in production, and version 2 loaded."""

    def __init__(self) -> None:
        self.models = WorkerModels(
            lambda uri: WorkerModel(uri, cast("Any", None), Metrics(), report=lambda **_: None),
            wake=lambda: None,
        )
        self.models.add(parse("models:/m@production"))
        self.made: list[LocalPool] = []
        pools = WorkerPools(self.models, Metrics(), cast("Any", self.make))
        self.call = pools.handlers

    def make(self, _: str, resolved: Any, __: Any) -> LocalPool:
        self.made.append(LocalPool(resolved.version))
        return self.made[-1]

    @property
    def model(self) -> WorkerModel:
        found = self.models.get("m")
        assert found is not None
        return found

    async def load(self, key: int) -> LocalPool:
        resolved = {"version": str(key), "artifacts": "", "identity": "", "revision": ""}
        await self.call["load"](
            key=key, model="m", resolved=resolved, fetched=[], another_serves=True
        )
        return self.made[-1]

    async def begin(self, percent: float = 100.0) -> tuple[LocalPool, LocalPool]:
        production, canary = await self.load(1), await self.load(2)
        await self.call["switch"](key=1, beside=None)
        await self.call["switch"](key=2, beside={})
        assert self.model.arms is None
        await self.share(percent)
        return production, canary

    async def share(self, percent: float, counting: str = "1") -> None:
        share = {"arm": "canary", "percent": percent, "counting": counting}
        share["plan"] = Plan().as_json()
        await self.call["switch"](key=2, beside=share)

    def ask(self) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Answer] = loop.create_future()
        request = PredictionRequest(
            rows=1, size=1, arrived=loop.time(), deadline=loop.time() + 60,
            item=Item("", b""), receiver=outcome, client_left=lambda: False,
        )  # fmt: skip
        assert self.model.arms is not None
        serving: Any = self.model.current
        assert self.model.arms.submit(request, serving, headers=[], request_id=b"", by_name=False)
        return outcome


@in_a_loop
async def test_a_worker_gives_a_canary_its_share_when_all_workers_have_it() -> None:
    worker = Worker()
    _, canary = await worker.begin(percent=0.0)
    arms = cast("Any", worker.model.arms)
    await worker.share(100.0)
    assert (worker.model.arms, arms.percent, canary.paused) == (arms, 100.0, True)
    await worker.call["resume"](key=2)
    assert not canary.paused
    await worker.share(100.0, counting="2")
    assert worker.model.arms is not arms  # which counts anew


@pytest.mark.parametrize("end", ["close", "models"])
@in_a_loop
async def test_production_answers_what_waits_for_a_canary_that_a_worker_closes(end: str) -> None:
    worker = Worker()
    production, canary = await worker.begin()
    outcome = worker.ask()
    assert len(canary.requests) == 1
    about: dict[str, Any] = {"key": 2}
    if end == "models":
        about = {"uris": [], "alias": "", "complete": True}
    model = worker.model
    await worker.call[end](**about)
    await canary.closed.wait()
    assert model.arms is None
    production.answer(OK)
    assert await outcome == OK


@in_a_loop
async def test_what_waits_for_a_canary_is_answered_by_it_when_it_takes_over() -> None:
    worker = Worker()
    production, canary = await worker.begin()
    outcome = worker.ask()
    await worker.call["switch"](key=2, beside=None)
    assert (worker.model.arms, worker.model.current) == (None, canary)
    await production.closed.wait()
    canary.answer(OK)
    assert await outcome == OK
