"""The registry process while the registry itself says nothing."""

import asyncio
import contextlib
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from cloche.serving.errors import RegistryUnreachable
from cloche.serving.processes.launcher import Processes
from cloche.serving.registry.client import Registry
from cloche.serving.registry.protocol import QUERIES_AT_ONCE
from cloche.serving.registry.uri import parse
from tests import broken_servers
from tests.online import children, wait_for

PATIENCE = 300.0  # of a call whose reply must come: no registry is asked for it


async def _resolve_then_look_in_cache(registry: Registry, uri: str) -> object:
    with pytest.raises(RegistryUnreachable, match="said nothing for 1 s"):
        await registry.call("resolve", 1.0, uri=asdict(parse(uri)))
    return await registry.call("last_good", PATIENCE, uri=uri)


def test_a_process_whose_queries_hang_still_answers_what_needs_no_registry_and_then_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uris = [f"models:/m{at}@production" for at in range(2 * QUERIES_AT_ONCE)]
    others = set(children(os.getpid(), "cloche-registry"))

    def running() -> set[int]:
        return set(children(os.getpid(), "cloche-registry")) - others

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            processes = Processes(threads=1)
            stack.push_async_callback(processes.close)
            registry = Registry(tmp_path, processes)
            stack.push_async_callback(registry.close)
            for _ in range(2):
                found = [_resolve_then_look_in_cache(registry, uri) for uri in uris]
                async with asyncio.timeout(PATIENCE / 2):
                    assert await asyncio.gather(*found) == [None] * len(uris)
            await asyncio.to_thread(wait_for, lambda: len(running()) <= 1)
        assert not running()

    with broken_servers.answering(broken_servers.drips) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        asyncio.run(main())
