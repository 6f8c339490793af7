"""What a staged pool queues, with pools that only say whether they have room."""

import asyncio
from typing import Any, cast

import pytest

from cloche.serving.dispatch.staged_pool import StagedPool
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.errors import HostFailed
from cloche.serving.processes.frames import TABLE_BODY, Answer, Item
from cloche.serving.queue.prediction_request import AnswerReceiver, PredictionRequest
from cloche.serving.registry.resolved_version import ResolvedVersion


class FakePool:
    model, version = "m", "1"

    def __init__(self, *, room: bool = True) -> None:
        self.room = room
        self.retry = True
        self.description: dict[str, Any] = {}
        self.queued: list[PredictionRequest] = []

    def follow_retries(self, resolved: ResolvedVersion) -> None:
        self.retry = resolved.retry

    def release(self) -> list[PredictionRequest]:
        released, self.queued = self.queued, []
        return released

    def has_room(self, _: PredictionRequest) -> bool:
        return self.room

    def forward(self, request: PredictionRequest) -> None:
        self.queued.append(request)

    def submit(self, request: PredictionRequest) -> bool:
        self.queued.append(request)
        return True

    async def start(self, *, another_serves: bool) -> None:
        if not self.room:
            raise HostFailed("it cannot")

    async def close(self, find_successor: Any) -> None:
        self.queued = []


def a_request() -> PredictionRequest:
    return PredictionRequest(
        rows=1, size=2, arrived=0.0, deadline=1.0, item=Item("application/json", b"{}"),
        receiver=cast("AnswerReceiver", None), client_left=lambda: False,
    )  # fmt: skip


@pytest.mark.parametrize("room", [True, False])
def test_a_full_queue_of_the_model_refuses_before_the_stage_works(room: bool) -> None:
    stage, model = FakePool(room=True), FakePool(room=room)
    request = a_request()
    pools: Any = [stage, model]
    assert StagedPool(cast("list[VersionPool]", pools), 1.0).submit(request) is room
    assert [one.item.as_table for one in stage.queued] == [True] * room
    assert not model.queued


def test_what_a_stage_took_is_no_wait_for_the_model() -> None:
    pools: Any = [FakePool(room=True), FakePool(room=True)]
    staged = StagedPool(cast("list[VersionPool]", pools), 1.0)

    async def pass_on() -> float:
        staged.submit(a_request())
        staged.receive(a_request(), 0, Answer(200, TABLE_BODY, 1, b"table"))
        return asyncio.get_running_loop().time()

    now = asyncio.run(pass_on())
    assert pools[0].queued[0].arrived == 0.0
    assert 0.0 < pools[1].queued[0].arrived <= now


@pytest.mark.parametrize(
    ("stage", "said"), [(False, "The stage m 1: it cannot"), (True, "it cannot")]
)
def test_a_stage_that_cannot_be_loaded_is_named(stage: bool, said: str) -> None:
    pools: Any = [FakePool(room=stage), FakePool(room=not stage)]
    with pytest.raises(HostFailed, match=f"^{said}$"):
        asyncio.run(StagedPool(cast("list[VersionPool]", pools), 1.0).start())


def test_each_stage_follows_its_own_tag_of_retries() -> None:
    pools: Any = [FakePool(), FakePool(), FakePool()]
    staged = StagedPool(cast("list[VersionPool]", pools), 1.0)
    versions = [ResolvedVersion("1", "", "", "", retry=retry) for retry in (True, False, True)]
    staged.follow_retries(versions[2].after(versions[1].after(versions[0])))
    assert [pool.retry for pool in pools] == [True, False, True]
    assert not staged.retry  # production may not be asked what a canary of these was asked


def test_a_request_has_as_many_attempts_at_each_stage_as_it_came_with() -> None:
    pools: Any = [FakePool(), FakePool()]
    staged = StagedPool(cast("list[VersionPool]", pools), 1.0)
    request = a_request()
    request.attempts = 1  # as that of a canary, so that the loss of a host ends it

    async def pass_on() -> None:
        staged.submit(request)
        pools[0].queued[0].note_sent(5.0)
        staged.receive(request, 0, Answer(200, TABLE_BODY, 1, b"table"))

    asyncio.run(pass_on())
    assert [pool.queued[0].attempts for pool in pools] == [2, 1]
    assert (request.attempts, request.sent_at) == (2, 5.0)
    assert request.stages is not None
    assert [(one.name, one.sent_at) for one in request.stages.visits] == [("m", 5.0), ("", 0.0)]
    assert staged.release() == [request, request]  # each pool still had it here
    assert (request.attempts, request.stages) == (1, None)
