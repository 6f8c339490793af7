"""The canary of a model: it follows the alias `canary`, and takes requests beside production."""

import logging
from collections.abc import Callable, Sequence

from cloche.rollout.registry_keys import ABORTED, CANARY, CANARY_PERCENT_TAG, ROLLOUT_TAG
from cloche.serving.arms.arm_model import ArmModel
from cloche.serving.arms.arm_requests import CanaryAttempt
from cloche.serving.arms.arms import Arms
from cloche.serving.dispatch.served_model import MakeVersionPool, ServedModel
from cloche.serving.dispatch.served_pool import ServedPool
from cloche.serving.dispatch.staged_pool import StagedPool
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.queue.prediction_request import PredictionRequest
from cloche.serving.registry.client import Registry
from cloche.serving.registry.resolved_version import ResolvedVersion

_logger = logging.getLogger(__name__)


class CanaryModel(ArmModel):
    """The canary of a served model.

    Attributes:
        arms: What takes the requests of the model while the canary does; None while it does not.
    """

    arm, percent_tag, default_percent, most_percent = CANARY, CANARY_PERCENT_TAG, 1.0, 100.0
    arms: Arms | None

    def __init__(
        self, production: ServedModel, registry: Registry, metrics: Metrics, *,
        make: MakeVersionPool, changed: Callable[[], None],
        abort: Callable[[ResolvedVersion, str], None],
    ) -> None:  # fmt: skip
        """Have no version yet; `abort` is called with the version that failed, and the reason."""
        super().__init__(production, registry, metrics, make=make, changed=changed)
        self._report_abort = abort

    def percent_of(self, target: ResolvedVersion) -> str:
        """The tag of a version that gives its share; empty without one."""
        return target.canary_percent

    def follow_target(self, target: ResolvedVersion | None) -> None:
        """Take requests by the version that the alias names now; None if it names none."""
        super().follow_target(target)
        if self.arms is not None:
            self.arms.percent = self.percent

    def take(self, identity: str) -> ServedPool | None:
        """Hand over the version pool, if it serves this version and can answer requests."""
        if identity != self._state.identity or not self.ready:
            return None
        taken, self.current = self.current, None
        self.end_arms()
        self.end()
        return taken

    def serve(self, fresh: ServedPool) -> None:
        """Let requests reach `fresh` from now on."""
        target, self.current = self.target, fresh
        assert target is not None  # noqa: S101  # the load would have been given up
        assert isinstance(fresh, VersionPool | StagedPool)  # noqa: S101  # there are no workers
        self.arms = Arms(
            self.uri.model, fresh, self.percent, self._metrics,
            production=lambda: self._production.current,
            abort=lambda reason: self._report_abort(target, reason),
        )  # fmt: skip
        self._changed()

    def end_arms(self) -> None:
        """Take no further requests."""
        if self.arms is not None:
            self.arms.end()
            self.arms = None
            self._changed()

    def _give_back(self, requests: Sequence[PredictionRequest]) -> None:
        """Have production answer what waits for the canary."""
        for request in requests:
            if isinstance(request.receiver, CanaryAttempt):
                request.receiver.give_back()
            else:
                super()._give_back([request])

    def _log_served(self, fresh: ServedPool, seconds: float) -> None:
        _logger.info(
            "A canary answers %g %% of the callers.", self.percent,
            extra={"model": self.name, "version": fresh.version, "seconds": round(seconds, 3)},
        )  # fmt: skip


def aborted_problem(version: str, state: str) -> str:
    """The reason why an aborted version gets no requests."""
    return (
        f"Version {version} is {state}. It gets no requests until its tag {ROLLOUT_TAG} is "
        "removed, or a new rollout of it begins."
    )


def is_aborted(target: ResolvedVersion) -> bool:
    """Whether the registry says that a version's rollout was aborted."""
    return target.rollout.startswith(ABORTED)
