"""The shadow of a model: follows the alias `shadow`, and gets copies of production's requests."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from cloche.rollout.plan import Shadow
from cloche.rollout.registry_keys import SHADOW
from cloche.serving.arms.arm_model import ArmModel
from cloche.serving.arms.shadow_copies import ShadowCopies
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import RequestPool, ServedPool
from cloche.serving.errors import HostFailed
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion

_MOST_LOSSES, _LOSS_SECONDS = 5, 600.0  # of hosts, within that time
_IN_PRODUCTION = "Version {} is in production: there is nothing to compare it with."
_EFFECTS = (
    "Version {} has the tag cloche.retry off: its calls have effects, and so would copies of "
    "requests. It gets none."
)
_LOSSES = (
    f"it lost {_MOST_LOSSES} hosts within {_LOSS_SECONDS / 60:.0f} minutes, and gets no more "
    f"copies. Take the alias {SHADOW} away and set it again to try again."
)
_logger = logging.getLogger(__name__)


class ShadowModel(ArmModel):
    """The shadow of a served model."""

    arm = SHADOW
    arms: ShadowCopies | None

    def __init__(
        self, production: ServedModel, registry: Registry, metrics: Metrics, *,
        make: MakeVersionPool, copies_class: type[ShadowCopies], changed: Callable[[], None],
    ) -> None:  # fmt: skip
        """Have no version yet."""
        super().__init__(production, registry, metrics, make=make, changed=changed)
        self._copies_class = copies_class
        self._losses_since = (0.0, 0)  # a time on the loop's clock, and the losses until then

    def make_arms(self, pool: RequestPool, target: ResolvedVersion) -> ShadowCopies:  # noqa: ARG002
        """Return what gives the shadow copies of its share of the requests."""
        return self._copies_class(
            self.uri.model,
            pool,
            self.tags.percent,
            self._tolerance,
            self._metrics,
            production=lambda: cast("RequestPool | None", self._production.current),
        )

    def percent_tag(self, target: ResolvedVersion) -> str:
        """Return the tag of a version that gives its share; empty without one."""
        return target.shadow_percent

    def follow_target(self, target: ResolvedVersion | None) -> None:
        """Take copies by the version that the alias names now; None if it names none."""
        if target is not None:
            target = replace(target, low_priority=True)
            if obstacle := self._obstacle(target):
                self.end()
                target = replace(target, problem=obstacle)
        super().follow_target(target)
        if self.arms is not None:
            self.arms.tolerance = self._tolerance
            self._end_if_hosts_die(self.arms.pool.losses)

    def serve(self, fresh: ServedPool) -> None:
        """Let copies reach `fresh` from now on."""
        self._losses_since = self._loop.time(), 0
        super().serve(fresh)

    def retire(self, old: ServedPool) -> None:
        """Close a version pool at once: nobody waits for its copies, however long they take."""
        old.stop_waiting()
        super().retire(old)

    @property
    def _tolerance(self) -> float:
        return (self.tags.plan.shadow or Shadow()).tolerance

    def _obstacle(self, target: ResolvedVersion) -> str:
        """Why a version cannot be a shadow; empty if it can."""
        production = self._production.current
        if production is not None and production.version == target.version:
            return _IN_PRODUCTION.format(target.version)
        return "" if target.retry else _EFFECTS.format(target.version)

    def _end_if_hosts_die(self, losses: int) -> None:
        """End a version whose hosts die or hang again and again, until its alias is set anew."""
        since, before = self._losses_since
        if losses - before >= _MOST_LOSSES and self.target is not None:
            self._refuse(self.target, HostFailed(_LOSSES))
        elif self._loop.time() - since > _LOSS_SECONDS:
            self._losses_since = self._loop.time(), losses

    def _log_served(self, fresh: ServedPool, seconds: float) -> None:
        _logger.info(
            "A shadow gets copies of %g %% of the requests.", self.tags.percent,
            extra={"model": self.name, "version": fresh.version, "seconds": round(seconds, 3)},
        )  # fmt: skip
