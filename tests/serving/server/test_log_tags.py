"""The tag that names the log of a registered model, and a registry that does not take it."""

import asyncio
import logging
from typing import cast

import pytest

from cloche.serving.errors import RegistryUnreachable
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.server.log_tags import LogTags


class Asked:
    """A registry that refuses some writes, and keeps the others."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.tags: list[tuple[str, str]] = []

    async def call(self, name: str, _: float, *, model: str, destination: str) -> None:
        assert name == "write_log_tag"
        if self.refusals:
            self.refusals -= 1
            raise RegistryUnreachable("PERMISSION_DENIED")
        self.tags.append((model, destination))


def version(model: str, stage: str = "") -> ResolvedVersion:
    stages = (version(stage),) if stage else ()
    return ResolvedVersion("1", "", model, "", model=model, stages=stages)


async def written(registry: Asked, *versions: ResolvedVersion, log: str = "s3://b/log") -> None:
    tags = LogTags(cast("Registry", registry), log)
    for one in versions:
        tags.write(one)
        await tags._writes.finish()
    await tags.close()


def test_each_model_and_stage_is_told_once() -> None:
    registry = Asked(0)
    asyncio.run(written(registry, version("m", "s"), version("m", "s"), version("n"), version("")))
    assert sorted(registry.tags) == [(name, "s3://b/log") for name in ("m", "n", "s")]


def test_a_server_without_a_log_tells_nothing() -> None:
    registry = Asked(0)
    asyncio.run(written(registry, version("m"), log=""))
    assert registry.tags == []


def test_a_refused_write_is_a_warning_and_the_next_version_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = Asked(1)
    with caplog.at_level(logging.WARNING):
        asyncio.run(written(registry, version("m"), version("m")))
    assert registry.tags == [("m", "s3://b/log")]
    (record,) = caplog.records
    assert "name it by --log, or in the variable CLOCHE_LOG. PERMISSION_DENIED" in record.message
