"""The models of a worker, whose versions, canaries and shadows its parent chooses."""

from collections.abc import Callable, Iterator
from typing import Any, cast

from cloche.rollout.plan import parse_plan
from cloche.rollout.registry_keys import CANARY
from cloche.serving.arms.arms import Arms
from cloche.serving.arms.shadow_copies import combined_arms
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.dispatch.served_pool import RequestPool, ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.registry.client import Registry
from cloche.serving.registry.uri import ModelUri
from cloche.serving.workers.counts_for_parent import CopiesForParent, CountsForParent


class WorkerModel(ServedModel):
    """A model of a worker."""

    def __init__(
        self, uri: ModelUri, registry: Registry, metrics: Metrics, *, report: Callable[..., None]
    ) -> None:
        """Serve nothing yet; `report` tells the parent what is counted of both arms."""
        super().__init__(uri, registry, metrics, make=_by_the_parent)
        self._report = report
        self._canary: Arms | None = None
        self._counts: CountsForParent | None = None  # while there is a canary
        self._shadow: CopiesForParent | None = None

    @property
    def canary(self) -> RequestPool | None:
        """The version pool of the canary that takes requests; None while none does."""
        return self._canary.pool if self._canary is not None else None

    @property
    def shadow(self) -> RequestPool | None:
        """The version pool of the shadow that gets copies; None while none does."""
        return self._shadow.pool if self._shadow is not None else None

    async def follow(self, interval: float) -> None:
        """Do nothing: the parent polls the registry."""

    def serve(self, fresh: ServedPool) -> None:
        """Serve with `fresh`, which may have been the canary."""
        if fresh is self.canary:
            self._end_canary()
        super().serve(fresh)

    def share_with(self, pool: RequestPool, arm: str, **share: Any) -> None:
        """Give a canary or a shadow its share.

        Args:
            pool: The version pool.
            arm: Whether it is the `canary` or the `shadow`.
            share: The other arguments of `_share_with_canary` or of `_copy_to_shadow`.
        """
        (self._share_with_canary if arm == CANARY else self._copy_to_shadow)(pool, **share)
        self.arms = combined_arms(self._canary, self._shadow)

    def _share_with_canary(
        self, pool: RequestPool, percent: float, counting: str, plan: str
    ) -> None:
        """Give a canary its share of the requests.

        Args:
            pool: The version pool of the canary.
            percent: The share of the callers whose requests it answers.
            counting: The name of what is counted; another name begins anew.
            plan: The plan of the rollout, as JSON.
        """
        if self._canary is not None and self._counts is not None and self._counts.name == counting:
            self._canary.percent = percent
            return
        self._end_canary()
        self._counts = CountsForParent(counting, parse_plan(plan), self._report)
        self._canary = Arms(
            self.uri.model, pool, percent, self._counts, self._metrics,
            production=lambda: self.current, abort=lambda _: None,  # the parent judges
        )  # fmt: skip

    def _copy_to_shadow(
        self, pool: RequestPool, percent: float, counting: str, tolerance: float
    ) -> None:
        """Give a shadow copies of its share of the requests.

        Args:
            pool: The version pool of the shadow.
            percent: The share of the requests that are copied.
            counting: The name of what is counted; another name begins anew.
            tolerance: The relative difference up to which two numbers are equal.
        """
        if self._shadow is not None and self._shadow.name == counting:
            self._shadow.percent, self._shadow.tolerance = percent, tolerance
            return
        self._end_shadow()
        self._shadow = CopiesForParent(
            counting, self._report, self.uri.model, pool, percent, tolerance, self._metrics,
            production=lambda: cast("RequestPool | None", self.current),
        )  # fmt: skip

    def retire(self, old: ServedPool) -> None:
        """Close a version pool in the background: after its running batches, a shadow's at once."""
        if (canary := self._canary) is not None and old is canary.pool:
            self._end_canary()
            canary.give_back()
        elif (shadow := self._shadow) is not None and old is shadow.pool:
            self._end_shadow()
            shadow.give_back()
            old.stop_waiting()
        super().retire(old)

    def _end_canary(self) -> None:
        if self._counts is not None:
            self._counts.flush()
        self._canary = self._counts = None
        self.arms = combined_arms(None, self._shadow)

    def _end_shadow(self) -> None:
        if self._shadow is not None:
            self._shadow.flush()
            self._shadow.end()
        self._shadow = None
        self.arms = self._canary

    async def drain(self) -> None:
        """Close every version pool after its running batches."""
        for beside in filter(None, (self.canary, self.shadow)):
            self.retire(beside)
        await super().drain()


async def _by_the_parent(*_: Any) -> ServedPool:
    raise NotImplementedError


class WorkerModels(ServedModels):
    """The models of a worker."""

    def __init__(self, make: Callable[[ModelUri], WorkerModel], wake: Callable[[], None]) -> None:
        super().__init__(make, 0.0)
        self._wake_parent = wake

    def __iter__(self) -> Iterator[WorkerModel]:
        return cast("Iterator[WorkerModel]", super().__iter__())

    def get(self, name: str) -> WorkerModel | None:
        """The model that is served under `name`; None if there is none."""
        return cast("WorkerModel | None", super().get(name))

    def wake(self) -> None:
        """Have the parent poll the registry now."""
        self._wake_parent()
