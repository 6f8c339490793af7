"""The canary of a model: it follows the alias `canary`, and takes requests beside production."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from cloche.rollout.registry_keys import CANARY
from cloche.rollout.server_counts import ServerCounts
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.arms import Arms
from cloche.serving.arms.canary_tags import CanaryTags, is_driven, read_tags
from cloche.serving.arms.counts_tag import CountsTag
from cloche.serving.background_tasks import Tasks
from cloche.serving.dispatch.poll_policy import ServingState
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import RequestPool, ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import with_alias

_LAST_WRITE_SECONDS = 3.0  # when the server ends
_logger = logging.getLogger(__name__)


class CanaryModel(ServedModel):
    """The canary of a served model, which polls the registry for it.

    Attributes:
        target: The version that the alias names; None if it names none that may serve.
    """

    def __init__(
        self, production: ServedModel, registry: Registry, metrics: Metrics, *,
        make: MakeVersionPool, make_arms: type[Arms], abort: Callable[[ResolvedVersion, str], None],
    ) -> None:  # fmt: skip
        """Have no version yet; `abort` is called with the version that failed, and the reason."""
        uri = replace(with_alias(production.uri.model, CANARY), name=production.name)
        super().__init__(uri, registry, metrics, make=make)
        self.history = production.history
        self._production = production
        self._make_arms = make_arms
        self._report_abort = abort
        self.target: ResolvedVersion | None = None
        self._tags = CanaryTags()
        self._arms: Arms | None = None
        self._counts_tag: CountsTag | None = None
        self._counts_writes = Tasks()
        self._server_ends = False

    def wake(self) -> None:
        """Poll the registry now instead of after the pause."""
        self._production.wake()

    @property
    def problem(self) -> str:
        """The reason why the canary takes no requests; empty when it does."""
        return super().problem or self._tags.problem

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
        self._tags = read_tags(target.canary_percent, target.rollout_plan)
        if counts_anew and self.current is not None:
            self._begin_arms(self.current)
        self._follow_tags(target)
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

    def take(self, identity: str) -> ServedPool | None:
        """Hand over the version pool, if it serves this version and can answer requests.

        It takes requests as a canary until it takes over.
        """
        if identity != self._state.identity or not self.ready:
            return None
        taken, self.current = self.current, None
        arms = self._arms
        self._end_arms()
        self._production.arms = arms
        self.end()
        return taken

    def serve(self, fresh: ServedPool) -> None:
        """Let requests reach `fresh` from now on."""
        self.current = fresh
        self._begin_arms(fresh)

    def retire(self, old: ServedPool) -> None:
        """Take no further requests, and close a version pool after its running batches."""
        arms = self._arms
        self._end_arms()
        if arms is not None:
            arms.give_back()
        super().retire(old)

    def describe(self) -> dict[str, Any]:
        """The entry of the canary in `/readyz`."""
        version = self.target.version if self.target is not None else None
        described = super().describe()
        return {
            "version": version,
            "percent": self._tags.percent,
            **{key: described[key] for key in ("ready", "loading", "problem")},
            **(self._arms.counts.describe(self._arms.percent) if self._arms is not None else {}),
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
        """Have requests reach the canary, and count from now on."""
        target = self.target
        assert target is not None  # noqa: S101  # the load would have been given up
        arms = self._arms = self._production.arms = self._make_arms(
            self.uri.model, cast("RequestPool", pool), self._tags.percent,
            ArmCounts(self._tags.plan), self._metrics, production=lambda: self._production.current,
            abort=lambda reason: self._report_abort(target, reason),
        )  # fmt: skip
        tag = self._counts_tag = CountsTag(
            self._registry, self.uri.model, target.version,
            lambda: ServerCounts(
                arms.counts.total, percent=arms.percent, at=datetime.now(UTC).timestamp(),
                run_id=target.rollout_run_id,
            ),
        )  # fmt: skip
        arms.counts.server = tag.server
        self._counts_writes.start(tag.keep())
        self._follow_tags(target)

    def _follow_tags(self, target: ResolvedVersion) -> None:
        """Have the arms follow the share, the plan, and the servers that count."""
        if self._arms is None or self._counts_tag is None:
            return
        if self._arms.percent != self._tags.percent:
            self._arms.percent = self._tags.percent
            self._counts_tag.wake()
        self._arms.counts.plan = self._tags.plan
        self._arms.counts.servers = target.counting_servers

    def _end_arms(self) -> None:
        if self._arms is None or self._counts_tag is None:
            return
        self._arms.end()
        by_hand = self.target is None or not is_driven(self.target)
        self._counts_tag.end(remove=by_hand and not self._server_ends)
        self._arms = self._production.arms = self._counts_tag = None

    async def _start(self, fresh: ServedPool) -> None:
        await fresh.start_beside()

    def _successor(self) -> ServedPool | None:
        return self._production.current

    def _log_served(self, fresh: ServedPool, seconds: float) -> None:
        _logger.info(
            "A canary answers %g %% of the callers.", self._tags.percent,
            extra={"model": self.name, "version": fresh.version, "seconds": round(seconds, 3)},
        )  # fmt: skip
