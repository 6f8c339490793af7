"""The canary of a model: it follows the alias `canary`, and takes requests beside production."""

import logging
from collections.abc import Callable

from cloche.rollout.registry_keys import CANARY
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.arm_model import ArmModel
from cloche.serving.arms.arms import Arms
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import RequestPool, ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion

_logger = logging.getLogger(__name__)


class CanaryModel(ArmModel):
    """The canary of a served model."""

    arm = CANARY
    arms: Arms | None

    def __init__(
        self, production: ServedModel, registry: Registry, metrics: Metrics, *,
        make: MakeVersionPool, arms_class: type[Arms], changed: Callable[[], None],
        abort: Callable[[ResolvedVersion, str], None],
    ) -> None:  # fmt: skip
        """Have no version yet; `abort` is called with the version that failed, and the reason."""
        super().__init__(production, registry, metrics, make=make, changed=changed)
        self._arms_class = arms_class
        self._report_abort = abort

    def make_arms(self, pool: RequestPool, target: ResolvedVersion) -> Arms:
        """Return what gives the canary its share of the requests."""
        return self._arms_class(
            self.uri.model, pool, self.tags.percent, ArmCounts(self.tags.plan), self._metrics,
            production=lambda: self._production.current,
            abort=lambda reason: self._report_abort(target, reason),
        )  # fmt: skip

    def percent_tag(self, target: ResolvedVersion) -> str:
        """Return the tag of a version that gives its share; empty without one."""
        return target.canary_percent

    def take(self, identity: str) -> ServedPool | None:
        """Hand over the version pool, if it serves this version and can answer requests.

        It takes requests as a canary until `has_taken_over`.
        """
        if identity != self._state.identity or not self.ready:
            return None
        taken, self.current = self.current, None
        arms = self.arms
        self._end_arms()
        self.end()
        self._set_arms(arms)
        return taken

    def has_taken_over(self) -> None:
        """Take no further requests as a canary: the version pool takes over production."""
        self._set_arms(None)

    def _set_arms(self, arms: Arms | None) -> None:
        self.arms = arms
        self._changed()

    def follow_tags(self, target: ResolvedVersion) -> None:
        """Have the arms follow the share, the plan, and the servers that count."""
        super().follow_tags(target)
        if self.arms is not None and self._counts_tag is not None:
            self.arms.counts.plan = self.tags.plan
            self.arms.counts.server = self._counts_tag.server
            self.arms.counts.servers = target.counting_servers

    def _log_served(self, fresh: ServedPool, seconds: float) -> None:
        _logger.info(
            "A canary answers %g %% of the callers.", self.tags.percent,
            extra={"model": self.name, "version": fresh.version, "seconds": round(seconds, 3)},
        )  # fmt: skip
