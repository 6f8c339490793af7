"""The tag has what was counted, however often the registry was away, and no more writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from mlflow.utils.validation import _validate_model_version_tag

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.server_counts import ServerCounts
from cloche.serving.arms.counts_tag import CountsTag
from cloche.serving.errors import RegistryUnreachable, VersionRefused
from tests.in_a_loop import in_a_loop

MODULE = "cloche.serving.arms.counts_tag"


class FakeRegistry:
    """Keeps what it is told, unless a test has it fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None
        self.tries = 0

    async def call(self, method: str, _: float, **about: Any) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.calls.append((method, about))

    @property
    def last(self) -> ServerCounts:
        return ServerCounts.parse(self.calls[-1][1]["value"])


class Kept:
    """A tag, and what is counted for it."""

    def __init__(self) -> None:
        self.registry, self.counts, self.percent = FakeRegistry(), RolloutCounts(), 5.0
        self.tag = CountsTag(
            cast("Any", self.registry), "m", "2",
            lambda: ServerCounts(self.counts, self.percent, at=7.0, run_id="run"),
        )  # fmt: skip

    async def tries(self, number: int) -> None:
        """Wait until so many more calls have begun."""
        wanted = self.registry.tries + number
        while self.registry.tries < wanted:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.001)


@asynccontextmanager
async def kept(*, remove: bool = False) -> AsyncIterator[Kept]:
    """A tag that is kept written, and at last ended."""
    made = Kept()
    keeping = asyncio.create_task(made.tag.keep())
    async with asyncio.timeout(30):
        await made.tries(1)
        yield made
        made.tag.end(remove=remove)
        await keeping


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes that need no waiting."""
    monkeypatch.setattr(f"{MODULE}._SECONDS", 0.001)


@in_a_loop
async def test_only_what_has_changed_is_written() -> None:
    async with kept() as made:
        told = made.registry.last
        assert (told.percent, told.at, told.run_id) == (5.0, 7.0, "run")
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert made.registry.tries == 1
        made.counts.count(5.0, "canary", "requests", 3)
        await made.tries(1)
        assert made.registry.last.counts.of(5.0, "canary", "requests") == 3
    assert made.registry.last.percent == 0.0
    assert {about["server"] for _, about in made.registry.calls} == {made.tag.server}


@in_a_loop
async def test_a_share_that_changes_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{MODULE}._SECONDS", 3600.0)
    async with kept() as made:
        made.percent = 25.0
        made.tag.wake()
        await made.tries(1)
        assert made.registry.last.percent == 25.0


@in_a_loop
async def test_a_registry_that_was_away_has_everything_and_complains_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with kept() as made:
        made.registry.error = RegistryUnreachable("It is away.")
        for _ in range(3):
            made.counts.count(5.0, "canary", "requests")
            await made.tries(1)
        made.registry.error = None
        await made.tries(1)
        assert made.registry.last.counts.of(5.0, "canary", "requests") == 3
    assert [one.getMessage() for one in caplog.records] == [
        "The registry cannot be told what is counted of a rollout, and is told again. It is away."
    ]


@in_a_loop
async def test_the_last_write_is_tried_again() -> None:
    async with kept() as made:
        made.counts.count(5.0, "canary", "requests")
        made.registry.error = RegistryUnreachable("It is away.")
        made.tag.end(remove=False)
        await made.tries(2)
        made.registry.error = None
    assert (made.registry.last.percent, made.registry.last.counts.percents) == (0.0, [5.0])


@in_a_loop
async def test_a_tag_is_removed_and_not_written_again() -> None:
    async with kept(remove=True) as made:
        pass
    assert made.registry.calls[-1] == (
        "remove_counts", {"model": "m", "version": "2", "run_id": "run"}
    )  # fmt: skip


@in_a_loop
async def test_a_version_that_is_gone_is_told_nothing_more() -> None:
    async with kept() as made:
        made.registry.error = VersionRefused("There is no such version.")
    assert made.registry.tries == 2


@in_a_loop
async def test_each_tag_has_a_name_of_its_own_that_mlflow_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "wüste+host.example" * 20)
    one, other = (Kept().tag.server for _ in range(2))
    assert one != other
    _validate_model_version_tag(f"cloche.rollout_counts.{one}", "{}")
