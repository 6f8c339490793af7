import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cloche.client import AsyncClient, Client, Prediction

Ask = Callable[..., Prediction]


def _waiting(url: str, rows: Any, **options: Any) -> Prediction:
    with Client(url, **options) as client:
        return client.predict(rows)


def _awaiting(url: str, rows: Any, **options: Any) -> Prediction:
    async def ask() -> Prediction:
        async with AsyncClient(url, **options) as client:
            return await client.predict(rows)

    return asyncio.run(ask())


@pytest.fixture(params=[_waiting, _awaiting], ids=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Asks with one client, then with the other."""
    found: Ask = request.param
    return found
