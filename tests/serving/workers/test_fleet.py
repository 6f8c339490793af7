"""How all workers switch, with workers that answer when the test says so."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from cloche.serving.errors import HostFailed, ServingError
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.peer import PeerLost
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.workers import serving_versions, worker_handle
from cloche.serving.workers.fleet import Fleet
from cloche.serving.workers.version_on_workers import VersionOnWorkers
from cloche.serving.workers.worker_handle import WorkerHandle
from tests.in_a_loop import in_a_loop


class FakeProcess:
    """A process that runs until it is killed."""

    pid = 1
    returncode: int | None = None

    def __init__(self, peer: "FakePeer") -> None:
        self.ended = asyncio.Event()
        self._peer = peer

    def kill(self) -> None:
        self.returncode = -9
        self.ended.set()
        self._peer.lose()

    async def wait(self) -> int:
        await self.ended.wait()
        return -9


class Record(list[str]):
    """What workers were told, in order; it can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def append(self, line: str) -> None:
        super().append(line)
        self._more.set()

    async def until(self, *lines: str) -> None:
        async with asyncio.timeout(10):
            while not set(lines) <= set(self):
                self._more.clear()
                await self._more.wait()


class FakePeer:
    """Answers each call when the test lets it, and records it, but for pings."""

    def __init__(self, name: str, record: Record) -> None:
        self.name = name
        self.record = record
        self.held: dict[str, asyncio.Event] = {}
        self.failing: dict[str, Exception] = {}
        self.switched: list[Any] = []  # to production, or the share of a canary

    async def call(self, name: str, **about: Any) -> Any:
        if name != "ping":
            self.record.append(f"{self.name} {name}")
        if name == "switch":
            self.switched.append(about["beside"])
        if name in self.held:
            await self.held[name].wait()
        if name in self.failing:
            raise self.failing.pop(name)
        return {"predictor": "model"}

    def lose(self) -> None:
        """End all calls that are held: the process has ended."""
        for name, held in self.held.items():
            self.failing[name] = PeerLost()
            held.set()

    def tell(self, name: str, **_: Any) -> None:
        self.record.append(f"{self.name} {name}")

    async def close(self) -> None:
        pass


class Workers:
    """A fleet of workers a, b, …, and what they were told, in order."""

    def __init__(self, count: int = 2) -> None:
        self.record = Record()
        self.peers: list[FakePeer] = []
        self.workers: list[WorkerHandle] = []
        self.fleet = Fleet(count, Metrics())
        self.holding: str = ""
        self._tasks = [asyncio.create_task(self.fleet.keep(self.start)) for _ in range(count)]

    async def start(self) -> WorkerHandle:
        peer = FakePeer("abcdef"[len(self.peers)], self.record)
        if self.holding:
            peer.held[self.holding] = asyncio.Event()
        self.peers.append(peer)
        self.workers.append(WorkerHandle(cast("Any", FakeProcess(peer)), cast("Any", peer)))
        return self.workers[-1]

    async def begun(self) -> "Workers":
        await self.fleet.begun.wait()
        self.record.clear()
        return self

    def pool(self, version: str) -> VersionOnWorkers:
        resolved = ResolvedVersion(version, "", version, version)
        return VersionOnWorkers(self.fleet, "m", resolved, [(Path("/path"), None)])


@in_a_loop
async def test_all_have_loaded_before_one_switches_and_all_switched_before_one_answers() -> None:
    workers = await Workers().begun()
    a, b = workers.peers
    a.held["load"], b.held["switch"] = asyncio.Event(), asyncio.Event()
    start = asyncio.create_task(workers.pool("1").start())
    await workers.record.until("a load", "b load")
    a.held["load"].set()
    await workers.record.until("a switch", "b switch")
    assert workers.record == ["a load", "b load", "a switch", "b switch"]
    b.held["switch"].set()
    await start
    assert workers.record[4:] == ["a resume", "b resume"]


@in_a_loop
async def test_a_version_that_one_cannot_load_is_closed_on_all_and_serves_nowhere() -> None:
    workers = await Workers().begun()
    workers.peers[1].failing["load"] = HostFailed("No memory.")
    with pytest.raises(HostFailed, match="No memory"):
        await workers.pool("1").start()
    assert workers.record == ["a load", "b load", "a close", "b close"]


@in_a_loop
async def test_a_switch_that_has_begun_is_completed_when_it_is_given_up() -> None:
    workers = await Workers().begun()
    workers.peers[0].held["switch"] = asyncio.Event()
    start = asyncio.create_task(workers.pool("1").start())
    await workers.record.until("a switch")
    start.cancel()
    workers.peers[0].held["switch"].set()
    await start
    assert workers.record[-2:] == ["a resume", "b resume"]


@in_a_loop
async def test_a_worker_that_dies_during_a_switch_does_not_hold_up_the_other() -> None:
    workers = await Workers().begun()
    workers.peers[0].failing["load"] = PeerLost()
    await workers.pool("1").start()
    assert "b resume" in workers.record
    await workers.record.until("c listen")  # another one took its place
    assert "a resume" not in workers.record
    assert workers.record.index("c resume") < workers.record.index("c listen")


@in_a_loop
async def test_a_new_worker_that_loads_the_old_version_meanwhile_loads_the_new_one_too() -> None:
    workers = await Workers().begun()
    await workers.pool("1").start()
    workers.holding = "load"
    workers.workers[0].kill()
    await workers.record.until("c load")
    await workers.pool("2").start()  # by the other one alone
    assert "c switch" not in workers.record
    workers.peers[2].failing["load"] = ServingError("It was given up.")
    workers.peers[2].held["load"].set()
    await workers.record.until("c listen")
    assert workers.record.count("c load") == 2
    assert workers.fleet.members == [workers.workers[1], workers.workers[2]]


@in_a_loop
async def test_a_worker_that_hangs_while_it_loads_is_ended_and_the_others_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_handle, "_PING_SECONDS", 0.01)
    workers = await Workers().begun()
    a, _ = workers.peers
    a.held["load"] = a.held["ping"] = asyncio.Event()
    start = asyncio.create_task(workers.pool("1").start())
    await workers.record.until("b resume", "c listen")
    await start
    assert "a resume" not in workers.record
    assert workers.workers[0].process.returncode == -9


@in_a_loop
async def test_a_server_has_begun_when_all_workers_listen() -> None:
    workers = Workers()
    workers.holding = "listen"
    await workers.record.until("a listen", "b listen")
    workers.peers[0].held["listen"].set()
    async with asyncio.timeout(10):
        while not workers.workers[0].listening:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)
    assert not workers.fleet.begun.is_set()
    workers.peers[1].held["listen"].set()
    await workers.fleet.begun.wait()


@in_a_loop
async def test_all_have_a_canarys_share_before_one_answers_by_it() -> None:
    workers = await Workers().begun()
    canary = workers.pool("2")
    await canary.start_beside()
    workers.record.clear()
    a, _ = workers.peers
    a.held["switch"] = asyncio.Event()
    canary.set_share(percent=5.0)
    await workers.record.until("a switch", "b switch")
    assert workers.record == ["a switch", "b switch"]
    a.held["switch"].set()
    await workers.record.until("a resume", "b resume")


@in_a_loop
async def test_the_callers_of_a_canary_do_not_wait_for_a_worker_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving_versions, "_SHARE_SECONDS", 0.01)
    workers = await Workers().begun()
    canary = workers.pool("2")
    await canary.start_beside()
    workers.record.clear()
    workers.peers[0].held["switch"] = asyncio.Event()
    canary.set_share(percent=5.0)
    await workers.record.until("b resume")


@in_a_loop
async def test_a_new_worker_has_production_and_the_canary_with_its_share() -> None:
    workers = await Workers().begun()
    await workers.pool("1").start()
    canary = workers.pool("2")
    await canary.start_beside()
    workers.record.clear()
    canary.set_share(percent=5.0)
    await workers.record.until("b resume")
    workers.workers[0].kill()
    await workers.record.until("c listen")
    assert workers.peers[2].switched[-2:] == [None, {"percent": 5.0}]
    assert canary.ready


@in_a_loop
async def test_a_new_worker_that_cannot_load_the_canary_serves_without_it() -> None:
    workers = await Workers().begun()
    await workers.pool("1").start()
    canary = workers.pool("2")
    await canary.start_beside()
    workers.holding = "load"
    workers.workers[0].kill()
    await workers.record.until("c load")
    workers.record.clear()
    workers.peers[2].held["load"].set()
    await workers.record.until("c load")
    workers.peers[2].failing["load"] = HostFailed("No memory.")
    await workers.record.until("c listen")
    assert workers.workers[2] in workers.fleet.members


@in_a_loop
async def test_a_canary_that_is_promoted_is_loaded_once_and_one_that_is_dropped_has_no_share() -> (
    None
):
    workers = await Workers().begun()
    await workers.pool("1").start()
    promoted, dropped = workers.pool("2"), workers.pool("3")
    await promoted.start_beside()
    await promoted.start()
    assert workers.record.count("a load") == 2
    promoted.set_share(percent=5.0)
    await dropped.start_beside()
    await dropped.close(lambda: None)
    dropped.set_share(percent=5.0)
    workers.workers[0].kill()
    await workers.record.until("c listen")
    assert workers.peers[1].switched == [None, {}, None, {}]
    assert workers.peers[2].switched == [None]
