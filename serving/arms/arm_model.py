"""What a canary and a shadow have in common: a version beside production, behind an alias."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, cast

from cloche.rollout.server_counts import ServerCounts
from cloche.serving.arms.arm_tags import ArmTags, is_driven, read_tags
from cloche.serving.arms.counts_tag import CountsTag
from cloche.serving.background_tasks import Tasks
from cloche.serving.dispatch.poll_policy import ServingState
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import Arms, RequestPool, ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import with_alias

_LAST_WRITE_SECONDS = 3.0  # when the server ends


class CountingArms(Arms, Protocol):
    """What takes the requests of a model while a version is beside its own, and counts.

    Attributes:
        percent: The share of the version.
    """

    percent: float

    def counted(self) -> ServerCounts:
        """Return the counts and the share, for the registry."""

    def describe(self) -> dict[str, Any]:
        """Return the counts for `/readyz`."""

    def end(self) -> None:
        """Let nothing that is still being answered count any more."""

    def give_back(self) -> None:
        """Have production answer what waits for the version."""


class ArmModel(ServedModel, ABC):
    """A version beside that of a served model, which polls the registry for it.

    Attributes:
        arm: The name of the arm, and the alias that it follows.
        arms: What takes the requests of the model while the arm does; None while it does not.
        target: The version that the alias names; None if it names none that may serve.
        tags: The share and the plan of that version.
    """

    arm: ClassVar[str]
    arms: CountingArms | None

    def __init__(
        self, production: ServedModel, registry: Registry, metrics: Metrics, *,
        make: MakeVersionPool, changed: Callable[[], None],
    ) -> None:  # fmt: skip
        """Have no version yet; `changed` is called when `arms` has changed."""
        uri = replace(with_alias(production.uri.model, self.arm), name=production.name)
        super().__init__(uri, registry, metrics, make=make)
        self.history = production.history
        self._production = production
        self._changed = changed
        self.target: ResolvedVersion | None = None
        self.tags: ArmTags = read_tags(self.arm, "", "")
        self._counts_tag: CountsTag | None = None
        self._counts_writes = Tasks()
        self._server_ends = False

    @abstractmethod
    def make_arms(self, pool: RequestPool, target: ResolvedVersion) -> CountingArms:
        """Return what lets requests reach the version pool of a version."""

    @abstractmethod
    def percent_tag(self, target: ResolvedVersion) -> str:
        """Return the tag of a version that gives its share; empty without one."""

    def wake(self) -> None:
        """Poll the registry now instead of after the pause."""
        self._production.wake()

    @property
    def problem(self) -> str:
        """The reason why the arm takes no requests; empty when it does."""
        return super().problem or self.tags.problem

    def follow_target(self, target: ResolvedVersion | None) -> None:
        """Take requests by the version that the alias names now; None if it names none."""
        if target is None or target.identity != self._wanted_identity:
            self.end()
        counts_anew = (
            self.target is not None
            and target is not None
            and target.rollout_run_id != self.target.rollout_run_id
        )
        if counts_anew:
            self._end_arms()
        self.target = target
        if target is None:
            return
        self.tags = read_tags(self.arm, self.percent_tag(target), target.rollout_plan)
        if counts_anew and self.current is not None:
            self._begin_arms(self.current)
        self.follow_tags(target)
        if target.problem:
            self._give_up()
            self._note_read_error(target.problem)
        else:
            self._read_error = ""
            self.apply(target)

    def end(self) -> None:
        """Take no further requests, and close the version pool after its running batches."""
        self._give_up()
        if self.current is not None:
            self.retire(self.current)
        self.target, self._wanted_identity, self._state = None, "", ServingState()

    def serve(self, fresh: ServedPool) -> None:
        """Let requests reach `fresh` from now on."""
        self.current = fresh
        self._begin_arms(fresh)

    def retire(self, old: ServedPool) -> None:
        """Take no further requests, and close a version pool after its running batches."""
        if (arms := self._end_arms()) is not None:
            arms.give_back()
        super().retire(old)

    def describe(self) -> dict[str, Any]:
        """The entry of the arm in `/readyz`."""
        version = self.target.version if self.target is not None else None
        described = super().describe()
        return {
            "version": version,
            "percent": self.tags.percent,
            **{key: described[key] for key in ("ready", "loading", "problem")},
            **(self.arms.describe() if self.arms is not None else {}),
        }

    async def drain(self) -> None:
        """Cancel the load, close the version pool, and write the last counts."""
        self._server_ends = True
        self.end()
        await super().drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITE_SECONDS):
                await self._counts_writes.finish()

    def _begin_arms(self, pool: ServedPool) -> None:
        """Have requests reach the version, and count from now on."""
        target = self.target
        assert target is not None  # noqa: S101  # the load would have been given up
        arms = self.arms = self.make_arms(cast("RequestPool", pool), target)
        tag = self._counts_tag = CountsTag(
            self._registry, self.uri.model, target.version,
            lambda: replace(
                arms.counted(), at=datetime.now(UTC).timestamp(), run_id=target.rollout_run_id
            ),
        )  # fmt: skip
        self._counts_writes.start(tag.keep())
        self._changed()
        self.follow_tags(target)

    def follow_tags(self, target: ResolvedVersion) -> None:  # noqa: ARG002  # others read more of it
        """Have the arms follow the share of the version."""
        if self.arms is None or self._counts_tag is None:
            return
        if self.arms.percent != self.tags.percent:
            self.arms.percent = self.tags.percent
            self._counts_tag.wake()

    def _end_arms(self) -> CountingArms | None:
        """Take no further requests, and return what took them; None if nothing did."""
        arms, tag = self.arms, self._counts_tag
        if arms is None or tag is None:
            return None
        arms.end()
        by_hand = self.target is None or not is_driven(self.target)
        tag.end(remove=by_hand and not self._server_ends)
        self.arms = self._counts_tag = None
        self._changed()
        return arms

    async def _start(self, fresh: ServedPool) -> None:
        await fresh.start_beside()

    def _successor(self) -> ServedPool | None:
        return self._production.current
