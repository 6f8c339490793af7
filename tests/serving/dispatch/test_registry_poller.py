"""The pause between two polls: it ends by a wake, by its time, and by a cancellation."""

import asyncio

import pytest

from cloche.serving.dispatch.registry_poller import RegistryPoller
from tests.in_a_loop import in_a_loop


@pytest.mark.parametrize("turns", range(5))  # of the event loop, between the wake and the end
@in_a_loop
async def test_a_cancellation_that_comes_with_a_wake_is_not_swallowed(turns: int):
    async def follow(poller: RegistryPoller) -> None:
        await poller.rest(60)
        await asyncio.Event().wait()  # the next poll

    poller = RegistryPoller(None, "resolve", 1.0)
    resting = asyncio.create_task(follow(poller))
    await asyncio.sleep(0)
    poller.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    resting.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(30):
            await resting
