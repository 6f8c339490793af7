"""How the models of a server come and go with an alias."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.errors import RegistryUnreachable
from cloche.serving.registry.uri import ModelUri, parse
from tests import advice
from tests.in_a_loop import in_a_loop


class FakeModel:
    """Takes until the server ends to finish what runs."""

    ready = True

    def __init__(self, uri: ModelUri) -> None:
        self.uri = uri
        self.ended = asyncio.Event()
        self.woken, self.interval, self.read_at = 0, 0.0, 0.0

    async def follow(self, interval: float) -> None:
        self.interval = interval
        await asyncio.Event().wait()

    def wake(self) -> None:
        self.woken += 1

    async def drain(self) -> None:
        await self.ended.wait()

    async def close(self) -> None:
        self.ended.set()


class FakeRegistry:
    """Answers as the test says."""

    def __init__(self) -> None:
        self.answer: dict[str, str] | Exception = RegistryUnreachable("It lists no aliases.")

    async def call(self, *_: Any, **__: Any) -> dict[str, str]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.001)


@in_a_loop
async def test_a_model_that_leaves_holds_up_no_other_while_it_finishes() -> None:
    made: list[FakeModel] = []

    def make(uri: ModelUri) -> Any:
        made.append(FakeModel(uri))
        return made[-1]

    registry, models = FakeRegistry(), ServedModels(make, 0.001)
    registry.answer = {"a": "1"}
    following = asyncio.create_task(models.follow_alias("production", cast("Any", registry)))
    await until(lambda: len(models) == 1)
    registry.answer = {"b": "1", "c": "1"}
    await until(lambda: {model.uri.name for model in models} == {"b", "c"})
    assert not made[0].ended.is_set()
    following.cancel()
    await models.close()
    assert all(model.ended.is_set() for model in made)


@in_a_loop
async def test_a_server_of_all_models_is_ready_when_they_are_listed_and_asks_for_what_changed() -> (
    None
):
    registry, models = FakeRegistry(), ServedModels(cast("Any", FakeModel), 0.001)
    following = asyncio.create_task(models.follow_alias("production", cast("Any", registry)))
    await until(lambda: models.problem)
    assert (models.ready, models.problem) == (False, "It lists no aliases.")
    registry.answer = {"a": "1", "b": "1"}
    await until(lambda: len(models) == 2)
    assert (models.ready, models.problem) == (True, "")
    a, b = (cast("Any", models.get(name)) for name in "ab")
    registry.answer = {"a": "1", "b": "2"}
    await until(lambda: b.woken)
    assert (a.woken, b.woken) == (0, 1)
    assert a.interval == 30.0  # for what the list does not tell
    registry.answer = RegistryUnreachable("It is away.")
    await until(lambda: a.woken)
    assert (a.woken, b.woken, models.problem) == (1, 2, "It is away.")
    following.cancel()
    await models.close()


@in_a_loop
async def test_what_no_url_can_have_is_served_under_another_name_as_it_is_advised(caplog) -> None:
    registry, models = FakeRegistry(), ServedModels(cast("Any", FakeModel), 0.001)
    registry.answer = {"a/b": "1", "c": "1"}
    following = asyncio.create_task(models.follow_alias("production", cast("Any", registry)))
    await until(lambda: len(models) == 1)
    (record,) = caplog.records
    (named,) = advice.words_of(r"cloche serve (NAME=\S+)$", record.getMessage())
    assert parse(named.replace("NAME", "ab")).name == "ab"
    following.cancel()
    await models.close()
