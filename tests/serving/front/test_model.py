"""How a served model takes up a version whose twin answers before its model is there."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from cloche.serving.errors import HostFailed
from cloche.serving.front.metrics import Metrics
from cloche.serving.front.model import ServedModel
from cloche.serving.registry.uri import parse

TARGET = {"identity": "1", "revision": "r", "version": "1", "twin": "a digest"}


class FakeRegistry:
    """Names one version, for ever."""

    async def ask(self, question: str, *_: Any, **__: Any) -> Any:
        return {"resolve": TARGET, "fetch": "artifacts", "history": []}.get(question)


class FakeGeneration:
    """Is there at once, and whole or lost when the test says so."""

    model, version, ready = "m", "1", True
    description: dict[str, Any] = {"predictor": "onnx"}  # noqa: RUF012

    def __init__(self) -> None:
        self.was_beside: bool | None = None
        self.closed = False
        self.whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, *, beside: bool) -> None:
        self.was_beside = beside

    async def complete(self) -> None:
        await self.whole

    async def close(self, *_: Any) -> None:
        self.closed = True


async def served(scenario: Callable[[ServedModel, FakeGeneration], Awaitable[None]]) -> None:
    """Run `scenario` with a model that follows the registry, and its only generation."""
    generation = FakeGeneration()

    async def make(*_: Any) -> Any:
        return generation

    model = ServedModel(
        parse("models:/m@production"), cast("Any", FakeRegistry()), Metrics(),
        make=cast("Callable[[str, str, Path, str], Awaitable[Any]]", make), patience=1.0,
    )  # fmt: skip
    following = asyncio.create_task(model.follow(0.001))
    try:
        async with asyncio.timeout(30):
            await scenario(model, generation)
    finally:
        following.cancel()
        await model.close()


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.001)


def test_the_first_version_serves_as_soon_as_its_twin_answers() -> None:
    async def scenario(model: ServedModel, generation: FakeGeneration) -> None:
        await until(lambda: model.ready)
        assert generation.was_beside is False
        assert model.loading is None
        generation.whole.set_result(None)

    asyncio.run(served(scenario))


def test_a_version_whose_model_cannot_be_loaded_is_taken_out_of_service() -> None:
    async def scenario(model: ServedModel, generation: FakeGeneration) -> None:
        await until(lambda: model.ready)
        generation.whole.set_exception(HostFailed("ImportError: No module named skops"))
        await until(lambda: generation.closed)
        await until(lambda: "skops" in model.problem)
        assert not model.ready
        generation.closed = False  # were it tried again, it would serve, and then be closed
        await asyncio.sleep(0.05)
        assert (model.ready, generation.closed) == (False, False)

    asyncio.run(served(scenario))
