"""How a served model takes up versions, while the registry may change its mind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, cast

import pytest

from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.errors import HostFailed, RegistryUnreachable, VersionRefused
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import parse
from tests.in_a_loop import in_a_loop


def resolved(version: str, *, retry: bool = True) -> dict[str, Any]:
    """What the registry says of a version."""
    return asdict(ResolvedVersion(version, "", version, f"{version} {retry}", retry=retry))


class FakeRegistry:
    """Names the version that the test says, or raises what it says."""

    def __init__(self) -> None:
        self.names: dict[str, Any] | Exception = resolved("1")
        self.remembered: list[str] = []

    async def call(self, question: str, *_: Any, **about: Any) -> Any:
        if question == "remember":
            self.remembered.append(about["resolved"]["version"])
        if question != "resolve":
            return None
        if isinstance(self.names, Exception):
            raise self.names
        return self.names


class FakePool:
    """Is loaded and whole at once, or when the test says so."""

    model, ready, retry = "m", True, True

    def __init__(self, version: str) -> None:
        self.version = version
        self.description: dict[str, Any] = {"predictor": "onnx"}
        self.other_served: bool | None = None
        self.given_up = self.closed = False
        self.loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def follow_retries(self, resolved: ResolvedVersion) -> None:
        self.retry = resolved.retry

    async def start(self, *, another_serves: bool) -> None:
        self.other_served = another_serves
        try:
            await self.loaded
        except asyncio.CancelledError:
            self.given_up = True
            raise

    async def complete(self) -> None:
        await asyncio.shield(self.whole)

    async def close(self, *_: Any) -> None:
        self.closed = True

    def stop_waiting(self) -> None:
        pass

    def release(self) -> list[Any]:
        return []

    def adopt(self, _: Any) -> None:
        pass


class Stage:
    """A model that follows a registry, and the pools of its versions."""

    def __init__(self) -> None:
        self.registry = FakeRegistry()
        self.pools: dict[str, FakePool] = {}
        self.model = ServedModel(
            parse("models:/m@production"), cast("Any", self.registry), Metrics(), make=self.make
        )

    async def make(self, _: str, resolved: ResolvedVersion) -> Any:
        pool = self.pools[resolved.version] = FakePool(resolved.version)
        return pool

    async def loading(self, version: str) -> FakePool:
        """The pool of a version, once it is being loaded."""
        await until(lambda: version in self.pools)
        return self.pools.pop(version)

    async def serve(self, version: str, **description: Any) -> FakePool:
        """Have the version named, loaded and served."""
        self.registry.names = resolved(version)
        pool = await self.loading(version)
        pool.description |= description
        pool.loaded.set_result(None)
        pool.whole.set_result(None)
        await until(lambda: self.model.current is pool)  # type: ignore[comparison-overlap]
        return pool


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A stage whose model follows the registry."""
    stage = Stage()
    following = asyncio.create_task(stage.model.follow(0.001))
    try:
        async with asyncio.timeout(30):
            yield stage
    finally:
        following.cancel()
        await stage.model.close()


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.001)


@in_a_loop
async def test_the_first_version_serves_as_soon_as_its_twin_answers() -> None:
    async with staged() as stage:
        pool = await stage.loading("1")
        assert pool.other_served is False
        pool.loaded.set_result(None)
        await until(lambda: stage.model.ready)
        assert stage.model.loading is None
        assert stage.registry.remembered == []
        pool.whole.set_result(None)
        await until(lambda: stage.registry.remembered == ["1"])


@in_a_loop
async def test_a_version_whose_model_cannot_be_loaded_is_taken_out_of_service() -> None:
    async with staged() as stage:
        pool = await stage.loading("1")
        pool.loaded.set_result(None)
        await until(lambda: stage.model.ready)
        pool.whole.set_exception(HostFailed("ImportError: No module named skops"))
        await until(lambda: pool.closed)
        await until(lambda: "skops" in stage.model.problem)
        assert not stage.model.ready
        await asyncio.sleep(0.05)
        assert not stage.pools  # it is not tried again


@in_a_loop
async def test_what_loads_is_told_and_since_when() -> None:
    async with staged() as stage:
        assert stage.model.problem == "The first version is being loaded."
        await stage.serve("1")
        assert (stage.model.problem, stage.model.describe()["loading"]) == ("", None)
        stage.registry.names = resolved("2")
        await stage.loading("2")
        assert stage.model.problem.startswith("Version 2 is being loaded, since ")
        loading = stage.model.describe()["loading"]
        assert loading["version"] == "2"
        assert loading["since"].endswith("+00:00")


@in_a_loop
async def test_alarms_are_counted_while_the_registry_tells_of_a_monitoring() -> None:
    async with staged() as stage:
        gauge = stage.model._metrics.monitor_alarms
        for told, values in ((2, [2.0]), (0, [0.0]), (None, [])):
            stage.registry.names = resolved("1") | {"alarms": told}

            def is_counted(expected: list[float] = values) -> bool:
                (family,) = gauge.collect()
                return [one.value for one in family.samples] == expected

            await until(is_counted)


NO_ALIAS = VersionRefused("models:/m@production: no version stands behind it.")


@pytest.mark.parametrize("serves", [True, False], ids=["beside another", "at the start"])
@pytest.mark.parametrize(
    "names", [resolved("1"), resolved("3"), NO_ALIAS], ids=["what serves", "another", "none"]
)
@in_a_loop
async def test_a_load_that_the_alias_has_left_is_given_up(names: Any, serves: bool) -> None:
    async with staged() as stage:
        if serves:
            await stage.serve("1")
        stage.registry.names = resolved("2")
        hanging = await stage.loading("2")
        stage.registry.names = names
        await until(lambda: hanging.given_up)
        if names is NO_ALIAS:
            await until(lambda: stage.model.problem == str(NO_ALIAS))
            assert stage.model.loading is None
        elif serves and names == resolved("1"):
            await until(lambda: stage.model.problem == "")
            assert stage.model.loading is None
        else:
            await stage.serve(names["version"])
            assert stage.model.problem == ""


@in_a_loop
async def test_a_load_goes_on_while_the_registry_is_away_or_its_version_gets_a_tag() -> None:
    async with staged() as stage:
        await stage.serve("1")
        stage.registry.names = resolved("2")
        pool = await stage.loading("2")
        stage.registry.names = RegistryUnreachable("The registry said nothing for 15 s.")
        await until(lambda: "said nothing" in stage.model.problem)
        stage.registry.names = resolved("2", retry=False)
        await until(lambda: "is being loaded" in stage.model.problem)
        assert not pool.given_up
        pool.loaded.set_result(None)
        await until(lambda: stage.model.current is pool)  # type: ignore[comparison-overlap]
        await until(lambda: not pool.retry)


@in_a_loop
async def test_a_refused_version_is_told_whenever_the_alias_is_on_it_and_tried_once() -> None:
    async with staged() as stage:
        await stage.serve("1")
        stage.registry.names = resolved("2")
        (await stage.loading("2")).loaded.set_exception(HostFailed("It is broken."))
        await until(lambda: stage.model.problem == "Version 2 cannot serve: It is broken.")
        stage.registry.names = resolved("1")
        await until(lambda: stage.model.problem == "")
        stage.registry.names = resolved("3")
        await stage.loading("3")
        stage.registry.names = resolved("2")
        await until(lambda: stage.model.problem == "Version 2 cannot serve: It is broken.")
        assert stage.model.loading is None
        stage.registry.names = resolved("2", retry=False)  # somebody changed it
        await stage.loading("2")
        assert "is being loaded" in stage.model.problem


@in_a_loop
async def test_what_cannot_be_fetched_now_is_told_until_it_can(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloche.serving.dispatch.served_model._RETRY_SECONDS", 0.05)
    async with staged() as stage:
        await stage.serve("1")
        stage.registry.names = resolved("2")
        for _ in range(3):
            failing = await stage.loading("2")
            failing.loaded.set_exception(RegistryUnreachable("The store is away."))
            await until(lambda: stage.model.loading is None)
            await asyncio.sleep(0.01)  # as long as ten looks at the registry
            assert not stage.pools, "it is not tried at every look"
        await stage.loading("2")
        assert stage.model.problem == "The store is away."
        assert caplog.text.count("The store is away.") == 1
        await stage.serve("3")
        assert stage.model.problem == ""


@in_a_loop
async def test_other_inputs_than_before_are_told_until_the_next_version(
    caplog: pytest.LogCaptureFixture,
) -> None:
    raw, prepared = (
        {"inputs": f'[{{"name": "{name}", "type": "double"}}]', "outputs": None} for name in "ab"
    )
    async with staged() as stage:
        await stage.serve("1", signature=raw, stages=["s/3"])
        await stage.serve("2", signature=raw, stages=["s/4"])
        assert stage.model.describe()["warning"] is None
        await stage.serve("3", signature=prepared)
        warning = (
            "Version 3 behind no stage takes other inputs than version 2 behind s/4, which served "
            "before: 'a' (double) is gone, 'b' (double) is new."
        )
        assert stage.model.describe()["warning"] == warning
        assert warning in caplog.text
        await stage.serve("4", signature=prepared)
        assert stage.model.describe()["warning"] is None
