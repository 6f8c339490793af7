"""How the models of a server come and go with an alias."""

import asyncio
from typing import Any, cast

from cloche.serving.front.catalog import Catalog
from cloche.serving.registry.uri import ModelUri


class FakeModel:
    """Takes until the server ends to finish what runs."""

    def __init__(self, uri: ModelUri) -> None:
        self.uri = uri
        self.ended = asyncio.Event()

    async def follow(self, _: float) -> None:
        await asyncio.Event().wait()

    async def leave(self) -> None:
        await self.ended.wait()

    async def close(self) -> None:
        self.ended.set()


class FakeRegistry:
    """Names one model more with each look, and the first one no more."""

    def __init__(self) -> None:
        self.names = iter([["a"], ["b"], ["b", "c"]])

    async def ask(self, *_: Any, **__: Any) -> list[str]:
        return next(self.names, ["b", "c"])


def test_a_model_that_leaves_holds_up_no_other_while_it_finishes() -> None:
    async def main() -> list[FakeModel]:
        made: list[FakeModel] = []

        def make(uri: ModelUri) -> Any:
            made.append(FakeModel(uri))
            return made[-1]

        catalog = Catalog(make, 0.001)
        following = asyncio.create_task(
            catalog.follow_alias("production", cast("Any", FakeRegistry()))
        )
        async with asyncio.timeout(30):
            while {model.uri.name for model in catalog} != {"b", "c"}:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.001)
            assert not made[0].ended.is_set()
            following.cancel()
            await catalog.close()
        return made

    assert all(model.ended.is_set() for model in asyncio.run(main()))
