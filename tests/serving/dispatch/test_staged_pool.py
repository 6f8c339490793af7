"""What a staged pool queues, with pools that only say whether they have room."""

import asyncio
from typing import Any, cast

import pytest

from cloche.serving.dispatch.staged_pool import StagedPool
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.errors import HostFailed
from cloche.serving.processes.frames import TABLE_BODY, Answer, Item
from cloche.serving.queue.prediction_request import AnswerReceiver, PredictionRequest


class FakePool:
    model, version = "m", "1"

    def __init__(self, *, room: bool) -> None:
        self.room = room
        self.description: dict[str, Any] = {}
        self.queued: list[PredictionRequest] = []

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
