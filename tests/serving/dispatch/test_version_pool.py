"""How batches reach replicas, with replicas that answer when the test says so."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cloche.serving.dispatch.broken_host_check import BrokenHostCheck
from cloche.serving.dispatch.pool_settings import PoolSettings
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.errors import HostFailed, HostSilent
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import Answer, Item, Result
from cloche.serving.queue.batching_queue import BatchLimits, QueueLimits
from cloche.serving.queue.prediction_request import PredictionRequest, RequestEnded
from tests.in_a_loop import in_a_loop

OK = Answer(200, 0, 1, b"{}")


class FakeReplica:
    """Answers at once, unless it was told to fail."""

    pid = 1
    answer = OK
    checked: Result | HostFailed = Result(0.0, 0.0, 0, [OK])
    failure: type[HostFailed] = HostFailed

    def __init__(self, failures: int = 0) -> None:
        self.broken_check = BrokenHostCheck()
        self.checks = 0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failures = failures
        self.batches: list[int] = []

    async def load(self, *_: Any) -> dict[str, Any]:
        return {}

    def score(
        self, items: Sequence[Item], _: float, done: Callable[[Result | HostFailed], None]
    ) -> None:
        self.batches.append(len(items))
        result: Result | HostFailed = Result(0.0004, 0.0, 0, [self.answer] * len(items))
        if self.failures:
            self.failures -= 1
            result = self.failure("The host was killed by signal 9.")
        asyncio.get_running_loop().call_soon(done, result)

    def check(self, _: float, done: Callable[[Result | HostFailed], None]) -> None:
        self.checks += 1
        asyncio.get_running_loop().call_soon(done, self.checked)

    def kill(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def stop_later(self) -> None:
        pass


def request(*, left: bool = False) -> PredictionRequest:
    loop = asyncio.get_running_loop()
    return PredictionRequest(
        rows=1, size=10, arrived=loop.time(), deadline=loop.time() + 60,
        item=Item("application/json", b""), receiver=loop.create_future(),
        client_left=lambda: left,
    )  # fmt: skip


async def started(
    *failures: int, wait: float = 0.0, requests: int = 100, metrics: Metrics | None = None
) -> tuple[VersionPool, list[FakeReplica]]:
    """A pool with one replica; its hosts fail so many times, in the order of their making."""
    made: list[FakeReplica] = []

    async def spawn() -> Any:
        made.append(FakeReplica(failures[len(made)] if len(made) < len(failures) else 0))
        return made[-1]

    settings = PoolSettings(
        replicas=1, load_timeout=1.0, predict_timeout=1.0,
        queue=QueueLimits(requests, 10**6, 10**6), batches=BatchLimits(100, 10**6, wait),
    )  # fmt: skip
    pool = VersionPool(
        "m", "1", Path(), settings=settings, metrics=metrics or Metrics(), spawn=spawn
    )
    await pool.start(another_serves=False)  # its hosts are no processes with a priority
    return pool, made


async def answered(requests: Sequence[PredictionRequest]) -> list[int]:
    async with asyncio.timeout(30):
        return [(await one.receiver).status for one in requests]


@in_a_loop
async def test_requests_that_wait_while_a_replica_works_share_the_next_batch() -> None:
    pool, made = await started()
    requests = [request() for _ in range(9)]
    assert all(map(pool.submit, requests))
    assert await answered(requests) == [200] * 9
    assert made[0].batches == [1, 8]


@in_a_loop
async def test_requests_wait_while_an_older_version_may_still_answer_elsewhere() -> None:
    pool, made = await started()
    pool.pause()
    requests = [request() for _ in range(3)]
    assert all(map(pool.submit, requests))
    await asyncio.sleep(0)
    assert made[0].batches == []
    pool.resume()
    assert await answered(requests) == [200] * 3
    assert made[0].batches == [3]


@in_a_loop
async def test_a_wave_of_requests_is_split_in_two_and_not_into_one_and_the_rest() -> None:
    pool, (replica,) = await started()
    for wave in (1, 30, 30):
        sent = [request() for _ in range(wave)]
        assert all(map(pool.submit, sent))
        assert await answered(sent) == [200] * wave
    # The second wave meets a queue that knows of one client, the third one that knows of 30.
    assert replica.batches == [1, 1, 29, 10, 20]


@pytest.mark.parametrize("wait", [0.0, 0.0001, 0.002])
@in_a_loop
async def test_no_wait_ever_strands_a_request(wait: float) -> None:
    pool, _ = await started(wait=wait)
    for _ in range(20):
        requests = [request() for _ in range(3)]
        assert all(map(pool.submit, requests))
        assert await answered(requests) == [200] * 3


@in_a_loop
async def test_requests_of_a_lost_host_are_scored_alone_by_its_replacement() -> None:
    pool, made = await started(1)
    first = request()
    pool.submit(first)
    rest = [request() for _ in range(3)]
    assert all(map(pool.submit, rest))
    assert await answered([first, *rest]) == [200] * 4
    assert made[1].batches[0] == 1
    assert first.attempts == 2


@in_a_loop
async def test_a_request_that_loses_two_hosts_is_given_up() -> None:
    pool, _ = await started(1, 1)
    doomed = request()
    pool.submit(doomed)
    with pytest.raises(RequestEnded, match="host lost"):
        await answered([doomed])


@pytest.mark.parametrize(
    ("silent", "retry", "reason"),
    [(True, True, "cut off"), (True, False, "cut off"), (False, False, "not repeated")],
)
@in_a_loop
async def test_what_was_cut_off_or_may_have_effects_is_not_asked_again(
    silent: bool, retry: bool, reason: str
) -> None:
    pool, (first,) = await started(1)
    pool.retry = retry
    if silent:
        first.failure = HostSilent
    one, waiting = request(), request()
    assert all(map(pool.submit, [one]))
    await asyncio.sleep(0)
    pool.submit(waiting)
    with pytest.raises(RequestEnded, match=reason):
        await answered([one])
    assert await answered([waiting]) == [200]  # it was not given to the host that was lost
    assert one.attempts == 1


@pytest.mark.parametrize(
    ("checked", "hosts"), [(FakeReplica.checked, 1), (HostFailed("Something in it is broken."), 2)]
)
@in_a_loop
async def test_a_host_that_answers_with_errors_is_checked_and_replaced_unless_it_is_sound(
    checked: Result | HostFailed, hosts: int
) -> None:
    pool, made = await started()
    made[0].answer, made[0].checked = Answer(400, 0, 0, b"{}"), checked
    for _ in range(20 if hosts == 1 else 5):
        one = request()
        pool.submit(one)
        assert await answered([one]) == [400]
    after = request()
    pool.submit(after)
    assert await answered([after]) == [400 if hosts == 1 else 200]
    assert (len(made), made[0].checks) == (hosts, 1)


@in_a_loop
async def test_a_request_whose_client_left_is_not_scored() -> None:
    pool, made = await started()
    gone = [request(), request(left=True), request()]
    assert all(map(pool.submit, gone))
    assert await answered([gone[0], gone[2]]) == [200, 200]
    assert made[0].batches == [1, 1]


@in_a_loop
async def test_a_full_queue_refuses_and_those_who_left_make_room() -> None:
    pool, _ = await started(requests=1)
    assert pool.submit(request())  # is scored now
    assert pool.submit(request(left=True))  # waits, for nobody
    assert pool.submit(request())  # takes its place
    assert not pool.submit(request())


@in_a_loop
async def test_those_who_wait_at_a_swap_go_to_the_next_generation() -> None:
    old, _ = await started()
    new, _ = await started()
    requests = [request() for _ in range(5)]
    assert all(map(old.submit, requests))
    new.adopt(old.release())
    await old.close(lambda: new)
    assert await answered(requests) == [200] * 5


@in_a_loop
async def test_the_gauge_of_a_version_counts_all_its_pools_and_goes_with_the_last() -> None:
    metrics = Metrics()

    def counted() -> list[float]:
        (family,) = metrics.replicas.collect()
        return [one.value for one in family.samples]

    (first, _), (second, _) = await started(metrics=metrics), await started(metrics=metrics)
    assert counted() == [2]
    await first.close(lambda: None)
    assert counted() == [1]
    await second.close(lambda: None)
    assert counted() == []
