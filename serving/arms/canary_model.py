"""The canary of a model: it follows the alias `canary`, and takes requests beside production."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from cloche.rollout.plan import Plan
from cloche.rollout.registry_keys import ABORTED, CANARY, CANARY_PERCENT_TAG, ROLLOUT_TAG
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.arms import Arms
from cloche.serving.dispatch.poll_policy import ServingState
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import Arms as ArmsOfModel
from cloche.serving.dispatch.served_pool import RequestPool, ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import with_alias

_DEFAULT_PERCENT = 1.0
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
        self._percent = _DEFAULT_PERCENT
        self._percent_problem = ""

    def wake(self) -> None:
        """Poll the registry now instead of after the pause."""
        self._production.wake()

    @property
    def problem(self) -> str:
        """The reason why the canary takes no requests; empty when it does."""
        return super().problem or self._percent_problem

    def follow_target(self, target: ResolvedVersion | None) -> None:
        """Take requests by the version that the alias names now; None if it names none."""
        if target is None or target.identity != self._wanted_identity:
            self.end()
        self.target = target
        if target is None:
            return
        self._percent, self._percent_problem = _read_percent(target.canary_percent)
        if self._production.arms is not None:
            self._production.arms.percent = self._percent
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
        self._production.arms = self._end_arms()
        self.end()
        return taken

    def serve(self, fresh: ServedPool) -> None:
        """Let requests reach `fresh` from now on."""
        target, self.current = self.target, fresh
        assert target is not None  # noqa: S101  # the load would have been given up
        self._production.arms = self._make_arms(
            self.uri.model, cast("RequestPool", fresh), self._percent, ArmCounts(Plan()),
            self._metrics, production=lambda: self._production.current,
            abort=lambda reason: self._report_abort(target, reason),
        )  # fmt: skip

    def retire(self, old: ServedPool) -> None:
        """Take no further requests, and close a version pool after its running batches."""
        if (arms := self._end_arms()) is not None:
            arms.give_back()
        super().retire(old)

    def describe(self) -> dict[str, Any]:
        """The entry of the canary in `/readyz`."""
        version = self.target.version if self.target is not None else None
        described = super().describe()
        return {
            "version": version,
            "percent": self._percent,
            **{key: described[key] for key in ("ready", "loading", "problem")},
        }

    def _end_arms(self) -> ArmsOfModel | None:
        """Take no further requests, and return what took them; None if nothing did."""
        arms, self._production.arms = self._production.arms, None
        if arms is not None:
            arms.end()
        return arms

    async def _start(self, fresh: ServedPool) -> None:
        await fresh.start_beside()

    def _successor(self) -> ServedPool | None:
        return self._production.current

    def _log_served(self, fresh: ServedPool, seconds: float) -> None:
        _logger.info(
            "A canary answers %g %% of the callers.", self._percent,
            extra={"model": self.name, "version": fresh.version, "seconds": round(seconds, 3)},
        )  # fmt: skip


def _read_percent(tag: str) -> tuple[float, str]:
    """The share that a tag gives, and what is wrong with the tag; empty for nothing."""
    try:
        percent = float(tag or _DEFAULT_PERCENT)
    except ValueError:
        percent = math.nan
    if 0 <= percent <= 100:
        return percent, ""
    return 0.0, (
        f"Its tag {CANARY_PERCENT_TAG} is {tag!r}, and the share of a canary is a number from 0 "
        "to 100. It gets no requests until the tag is one."
    )


def aborted_problem(version: str, state: str) -> str:
    """The reason why an aborted version gets no requests."""
    return (
        f"Version {version} is {state}. It gets no requests until its tag {ROLLOUT_TAG} is "
        "removed, or a new rollout of it begins."
    )


def is_aborted(target: ResolvedVersion) -> bool:
    """Whether the registry says that a version's rollout was aborted."""
    return target.rollout.startswith(ABORTED)
