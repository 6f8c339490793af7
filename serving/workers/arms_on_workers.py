"""A canary and a shadow beside production on all workers of a server, as their parent sees them."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from cloche.rollout.counts import Arm, Counted, RolloutCounts
from cloche.rollout.registry_keys import CANARY, SHADOW
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.arms import Arms
from cloche.serving.arms.shadow_copies import ShadowCopies
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.dispatch.served_pool import RequestPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.workers.version_on_workers import VersionOnWorkers

_numbers = itertools.count(1)


class ArmsOnWorkers(Arms):
    """A canary on all workers, which get its share and tell what they count; the parent judges.

    Attributes:
        name: The name under which workers count.
    """

    def __init__(
        self, model: str, pool: RequestPool, percent: float, counts: ArmCounts, metrics: Metrics,
        **hooks: Any,
    ) -> None:  # fmt: skip
        """Have all workers give the canary its share; the arguments are those of `Arms`."""
        self.name = str(next(_numbers))
        self._percent = -1.0  # workers know of none yet
        super().__init__(model, pool, percent, counts, metrics, **hooks)

    @property
    def percent(self) -> float:
        """The share of the callers whose requests the canary answers."""
        return self._percent

    @percent.setter
    def percent(self, percent: float) -> None:
        if percent != self._percent:
            self._percent = percent
            plan = self.counts.plan.as_json()
            cast("VersionOnWorkers", self.pool).set_share(
                arm=CANARY, percent=percent, counting=self.name, plan=plan
            )

    def add(self, counts: str, callers: Sequence[tuple[Counted, Arm, float, str]]) -> None:
        """Add what a worker has counted, and abort the canary if it has failed too often.

        Args:
            counts: What it has counted since it told last, without what counts once for a caller.
            callers: What counts once, with arm, share and key of each caller.
        """
        self.counts.total += RolloutCounts.parse(counts)
        now = self._loop.time()
        for what, arm, percent, text in callers:
            key = text.encode("latin-1")
            if what != "callers":
                reason = self.counts.add_failed_caller(arm, percent, key, now)
                if reason and self._abort is not None:
                    self._abort(reason)
            elif percent == self.percent:  # else some worker has yet to hear of a new share
                self.counts.add_caller(arm, percent, key, now)


class CopiesOnWorkers(ShadowCopies):
    """A shadow on all workers, which get its share and tell what they compare.

    Attributes:
        name: The name under which workers count.
    """

    def __init__(
        self, model: str, pool: RequestPool, percent: float, tolerance: float, metrics: Metrics,
        **hooks: Any,
    ) -> None:  # fmt: skip
        """Have all workers copy requests; the arguments are those of `ShadowCopies`."""
        self.name = str(next(_numbers))
        self._share = {"percent": -1.0, "tolerance": tolerance}  # workers know of none yet
        super().__init__(model, pool, percent, tolerance, metrics, **hooks)

    @property
    def percent(self) -> float:
        """The share of the requests that are copied."""
        return self._share["percent"]

    @percent.setter
    def percent(self, percent: float) -> None:
        self._set(percent=percent)

    @property
    def tolerance(self) -> float:
        """The relative difference up to which two numbers are equal."""
        return self._share["tolerance"]

    @tolerance.setter
    def tolerance(self, tolerance: float) -> None:
        self._set(tolerance=tolerance)

    def add(self, counts: str, losses: int) -> None:
        """Add what a worker has compared since it told last, and the hosts that it has lost."""
        self._counts += RolloutCounts.parse(counts)
        cast("VersionOnWorkers", self.pool).losses += losses

    def _set(self, **share: float) -> None:
        before, self._share = self._share, self._share | share
        if self._share != before:
            cast("VersionOnWorkers", self.pool).set_share(
                arm=SHADOW, counting=self.name, **self._share
            )


def counts_handler(models: ServedModels) -> Callable[..., Awaitable[None]]:
    """Return the handler in the parent for what workers count of the arms."""

    async def add(counting: str, **counted: Any) -> None:
        for model in models:
            arms = (model.arms, getattr(model.arms, "canary", None))
            for one in arms:
                if isinstance(one, ArmsOnWorkers | CopiesOnWorkers) and one.name == counting:
                    one.add(**counted)

    return add
