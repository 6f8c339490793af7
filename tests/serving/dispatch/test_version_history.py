import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from cloche.serving.dispatch.version_history import VersionHistory
from cloche.serving.errors import RegistryUnreachable
from cloche.serving.registry.client import Registry
from cloche.serving.registry.uri import parse
from tests.in_a_loop import in_a_loop


class Asked:
    """A registry that answers with how often it was asked, until it is gone."""

    def __init__(self) -> None:
        self.count = 0
        self.gone = False

    async def call(self, question: str, time_limit: float, **about: Any) -> Any:
        self.count += 1
        if self.gone:
            raise RegistryUnreachable("gone")
        return [{"version": str(self.count)}]


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[VersionHistory, Asked]]:
    registry = Asked()
    history = VersionHistory(parse("models:/m@production"), cast(Registry, registry))
    yield history, registry
    await history.close()


async def answered() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@in_a_loop
async def test_the_registry_is_asked_only_when_somebody_looks_and_once_for_many_looks() -> None:
    async with watched() as (history, registry):
        await answered()
        assert registry.count == 0
        assert history.known() is None
        for _ in range(5):
            await answered()
            assert history.known() == [{"version": "1"}]


@in_a_loop
async def test_what_is_outdated_is_asked_for_with_the_next_look_and_known_until_it_is_told() -> (
    None
):
    async with watched() as (history, registry):
        history.known()
        await answered()
        history.invalidate()
        assert history.known() == [{"version": "1"}]
        await answered()
        registry.gone = True
        for _ in range(2):
            assert history.known() == [{"version": "2"}]
            history.invalidate()
            await answered()
